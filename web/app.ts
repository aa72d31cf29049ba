import { browserEnvironment, randomId, tabValue } from "./client/browser-environment.ts";
import { ChatClient } from "./client/chat-client.ts";
import type { Endpoint } from "./client/connection.ts";
import { ConnectionPanel } from "./view/connection-panel.ts";
import { ContextPanel } from "./view/context-panel.ts";
import { Conversation } from "./view/conversation.ts";
import { find } from "./view/dom.ts";
import { readToken } from "./view/status-text.ts";

const session = tabValue("chat.session");
const token = tabValue("chat.token");

/** Relative to the page, so that a proxy may serve it under any path. */
function endpoint(): Endpoint {
  const bearer = token.load();
  const url = new URL(bearer === null ? "ws/chat" : "ws/chat/auth", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return bearer === null ? { url: url.href } : { url: url.href, token: bearer };
}

const client = new ChatClient(endpoint(), browserEnvironment(session));

const conversation = new Conversation(client, {
  saved: tabValue("chat.transcript"),
  newId: randomId,
  isAnonymous: () => token.load() === null,
});

/** Another identity sees nothing of the one before it. */
function changeIdentity(): void {
  client.disconnect();
  client.withdrawAll();
  session.save(null);
  conversation.begin();
}

const connection = new ConnectionPanel(client, {
  token: () => token.load(),
  useToken(next) {
    const before = token.load();
    const same = before !== null && readToken(before)?.subject === readToken(next)?.subject;
    if (!same) changeIdentity();
    token.save(next);
    const { url } = endpoint();
    if (same) client.renew({ url, token: next });
    else client.use({ url, token: next });
  },
  forgetToken() {
    changeIdentity();
    token.save(null);
    client.use(endpoint());
  },
});

new ContextPanel(client);

client.subscribe((event) => {
  if (event.type === "state" || event.type === "welcome") connection.show();
});

find("new-conversation", HTMLButtonElement).addEventListener("click", () => conversation.begin());
for (const dialog of document.querySelectorAll("dialog")) {
  // A click beside the dialog's content lands on the dialog itself.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
}
/** A delay is cut short when things may have changed; a refusal stands until someone acts. */
function hurry(): void {
  if (client.state.phase === "waiting") client.connect();
}
window.addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") hurry();
});

client.connect();
