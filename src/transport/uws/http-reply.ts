/** A whole HTTP response, made before any byte is written. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** What a route may know of a request, copied before any await. */
export interface HttpRequestFacts {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  readonly ifNoneMatch: string;
  /** Whether the request came from this machine and through no proxy. */
  readonly fromLoopback: boolean;
}

export type HttpRoute = (request: HttpRequestFacts) => HttpReply | Promise<HttpReply>;

const statusTexts: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  304: "Not Modified",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** The status line's text, such as `404 Not Found`. */
export function statusLine(status: number): string {
  return `${status} ${statusTexts[status] ?? ""}`.trim();
}

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

/** A refusal that says what was expected. */
export function errorReply(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return jsonReply(status, { error: { message } }, headers);
}
