/** A complete HTTP response, created before any byte of it is written. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** Whether the connection is closed after the reply. */
  readonly closes?: true;
}

/** The parts of a request that routes may use, copied before any await. */
export interface HttpRequestFacts {
  /** In upper case. */
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  readonly ifNoneMatch: string;
  /** Whether the request came directly from this machine, not through a proxy. */
  readonly fromLoopback: boolean;
}

/** Handler of one path. */
export type HttpRoute = (request: HttpRequestFacts) => HttpReply | Promise<HttpReply>;

const statusTexts: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** The text of a status line, such as `404 Not Found`. */
export function statusLine(status: number): string {
  return `${status} ${statusTexts[status] ?? ""}`.trim();
}

/** A JSON reply that must not be cached. */
export function jsonReply(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", "cache-control": "no-store", ...headers },
    body: `${JSON.stringify(value)}\n`,
  };
}

/** Error text for a header that may come once and has different values. */
export function contradictionMessage(header: string): string {
  return `The request has different ${header} headers; expected one.`;
}

/** Refuses such a request and closes the connection: what follows could be the rest of a body or another request. */
export function contradictionReply(header: string): HttpReply {
  return { ...errorReply(400, contradictionMessage(header)), closes: true };
}

/** The header that states when to retry, in whole seconds. */
export function retryAfter(waitMs: number): { readonly "retry-after": string } {
  return { "retry-after": String(Math.ceil(waitMs / 1000)) };
}

/** Refuses a request of an address that sends too many, and closes the connection. */
export function tooManyRequestsReply(waitMs: number): HttpReply {
  const headers = retryAfter(waitMs);
  const message = `Too many requests from your address; wait ${headers["retry-after"]} s.`;
  return { ...errorReply(429, message, headers), closes: true };
}

/** A refusal; `message` names the cause and what to do. */
export function errorReply(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return jsonReply(status, { error: { message } }, headers);
}
