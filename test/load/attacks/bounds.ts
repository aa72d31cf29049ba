import { MIB } from "../programs/server-figures.ts";

/**
 * Bytes that a connection may cost beside its unsent bytes: the library's socket, a session with its table entries, and
 * the rates of its address.
 */
export const CONNECTION_BYTES = 8_192;

/** Bytes of a session without a socket. */
export const SESSION_BYTES = 2_048;

/** Bytes of an incomplete message that one socket may hold: four times MAX_FRAME_BYTES. */
export const MESSAGE_BYTES = 4 * 65_536;

/** MAX_BUFFERED_MB in bytes, and the quarter of it that one address may hold. */
export const BUFFERED_BYTES = 512 * MIB;
export const BUFFERED_BYTES_OF_ADDRESS = BUFFERED_BYTES / 4;

/** ANSWER_BUDGET_MB in bytes. */
export const ANSWER_BYTES = 256 * MIB;

/**
 * Resident memory beyond what is held: garbage that is not collected yet, of honest chats and of refused requests, and
 * the young generation of the heap.
 */
export const SLACK_BYTES = 96 * MIB;
