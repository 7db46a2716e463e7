"""Formula text to statements of postfix code: grammar, lexer, parser, and the words for what is wrong."""
