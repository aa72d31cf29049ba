import { Counter, Gauge, type Histogram, type Registry } from "prom-client";

/**
 * Metrics of what happens with every frame, token, answer or socket. The library's own look their labels up by a text that
 * they make on each call: here a call adds to plain numbers, and the numbers become samples when they are read.
 */

/** Name with its prefix, without labels; a metric has up to two labels. */
export interface HotMetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly registry: Registry;
}

/** What is counted, by the values of the labels. */
class Cells<Cell> {
  readonly #make: () => Cell;
  readonly #cells = new Map<string, Map<string, Cell>>();

  constructor(make: () => Cell) {
    this.#make = make;
  }

  of(first: string, second: string): Cell {
    let row = this.#cells.get(first);
    if (row === undefined) this.#cells.set(first, (row = new Map()));
    let cell = row.get(second);
    if (cell === undefined) row.set(second, (cell = this.#make()));
    return cell;
  }

  /** With each cell its labels by name. */
  labelled(names: readonly string[]): { readonly labels: Record<string, string>; readonly cell: Cell }[] {
    return [...this.#cells].flatMap(([first, row]) =>
      [...row].map(([second, cell]) => ({
        labels: Object.fromEntries(names.map((name, index) => [name, index === 0 ? first : second])),
        cell,
      })),
    );
  }
}

/** A counter, or with `gauge` a number that may fall. */
export function hotCounter(
  { name, help, labelNames, registry }: HotMetricOptions,
  kind: "counter" | "gauge" = "counter",
): (count: number, first?: string, second?: string) => void {
  const cells = new Cells(() => ({ count: 0 }));
  const Metric = kind === "counter" ? Counter : Gauge;
  new Metric({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, cell } of cells.labelled(labelNames)) this.inc(labels, cell.count);
      if (labelNames.length === 0) this.inc(0);
    },
  });
  return (count, first = "", second = "") => {
    cells.of(first, second).count += count;
  };
}

/** @param bounds upper bounds of the buckets, rising */
export function hotHistogram(
  { name, help, labelNames, registry }: HotMetricOptions,
  bounds: readonly number[],
): (value: number, first?: string, second?: string) => void {
  // The last bucket takes what is over all bounds.
  const cells = new Cells(() => ({ sum: 0, buckets: Array.from({ length: bounds.length + 1 }, () => 0) }));
  const les: readonly (number | string)[] = [...bounds, "+Inf"];
  const values = () =>
    cells.labelled(labelNames).flatMap(({ labels, cell: { sum, buckets } }) => {
      let count = 0;
      const rows = les.map((le, index) => {
        count += buckets[index] as number;
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...rows,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
  // The registry asks a metric for its name and its values; the types know only the library's own classes.
  const metric = { name, get: () => Promise.resolve({ name, help, type: "histogram", values: values() }) };
  registry.registerMetric(metric as unknown as Histogram);
  return (value, first = "", second = "") => {
    const cell = cells.of(first, second);
    cell.sum += value;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] as number)) index++;
    (cell.buckets[index] as number)++;
  };
}
