/** What a session remembers between sockets. */
export interface SessionRecord {
  readonly authenticated: boolean;
  /** Key of the client. */
  readonly client: string;
  readonly publicId: string;
  /** Key of the principal whose address or subject made it. */
  readonly accountKey: string;
  /** Name of the conversation that belongs to this session. */
  readonly ownConversation: string;
}

/** Port: sessions by the hash of their secret. Writes are taken at once and may be carried out behind. */
export interface SessionStore {
  /** Keeps a session with one socket attached. */
  create(hash: string, record: SessionRecord): void;
  /** Attaches one more socket, if `admit` agrees; undefined when refused, unknown or expired. */
  attach(hash: string, admit: (record: SessionRecord) => boolean): Promise<SessionRecord | undefined>;
  /** One socket less; after the last one the retention starts. */
  detach(hash: string): void;
  /**
   * One socket less; after the last one the session is forgotten at once, without retention, and its anonymous client's
   * data go too.
   */
  drop(hash: string): void;
}
