/** State of a session that outlives its sockets. */
export interface SessionRecord {
  readonly authenticated: boolean;
  /** Key of the client. */
  readonly client: string;
  /** The id shown to the client in the welcome. */
  readonly publicId: string;
  /** Key of the principal that created the session, by subject or address. */
  readonly accountKey: string;
  /** Name of the conversation that this session uses by default. */
  readonly ownConversation: string;
}

/** Port: sessions by the hash of their secret. Methods without a promise may complete their write later. */
export interface SessionStore {
  /** Stores a new session with one socket attached. */
  create(hash: string, record: SessionRecord): void;
  /** Attaches one more socket if `admit` returns true. Undefined when refused, unknown or expired. */
  attach(hash: string, admit: (record: SessionRecord) => boolean): Promise<SessionRecord | undefined>;
  /** Detaches one socket. The retention time starts with the last one. */
  detach(hash: string): void;
  /**
   * Detaches one socket. After the last one the session is deleted at once, without retention, along with the data of
   * its anonymous client.
   */
  drop(hash: string): void;
}
