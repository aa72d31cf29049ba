/** HS256 keys shorter than its hash can be guessed from one token (RFC 7518, 3.2). */
export const MIN_SECRET_BYTES = 32;
