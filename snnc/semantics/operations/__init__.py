"""Operations as authors write them: their arguments, their shape rules, and how each is built from them."""
