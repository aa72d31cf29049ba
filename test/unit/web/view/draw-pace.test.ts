import { expect, it } from "vitest";
import { DrawPace } from "../../../../web/view/draw-pace.ts";

it("limits drawing to a quarter of the time, however long a draw takes", () => {
  const pace = new DrawPace();
  let drawing = 0;
  for (let now = 0; now < 10_000;) {
    if (!pace.mayDraw(now)) {
      now += 16;
      continue;
    }
    const cost = 1 + now / 100;
    pace.drew(now, now + cost);
    drawing += cost;
    now += cost;
  }
  expect(drawing).toBeGreaterThan(1_000);
  expect(drawing).toBeLessThan(2_600);
});

it("allows a draw at once if the last one took no time", () => {
  const pace = new DrawPace();
  expect(pace.mayDraw(0)).toBe(true);
  pace.drew(5, 5);
  expect(pace.mayDraw(5)).toBe(true);
});
