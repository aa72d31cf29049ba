import { Counter, Gauge, type Histogram, type Registry } from "prom-client";

/**
 * Metrics for events that occur with every frame, token, answer or socket. The metrics of prom-client build a label
 * string on each call. Here a call only adds to plain numbers, which become samples when the metrics are scraped.
 */

/** `name` includes the prefix. A metric has at most two labels. */
export interface HotMetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly registry: Registry;
}

/** One cell for each combination of label values. */
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

  /** All cells with their labels by name. */
  labelled(names: readonly string[]): { readonly labels: Record<string, string>; readonly cell: Cell }[] {
    return [...this.#cells].flatMap(([first, row]) =>
      [...row].map(([second, cell]) => ({
        labels: Object.fromEntries(names.map((name, index) => [name, index === 0 ? first : second])),
        cell,
      })),
    );
  }
}

/** A counter, or with `kind` "gauge" a number that can also decrease. */
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

/** @param bounds upper bounds of the buckets, ascending */
export function hotHistogram(
  { name, help, labelNames, registry }: HotMetricOptions,
  bounds: readonly number[],
): (value: number, first?: string, second?: string) => void {
  // The last bucket counts values above all bounds.
  const cells = new Cells(() => ({ sum: 0, buckets: Array.from({ length: bounds.length + 1 }, () => 0) }));
  const bucketLabels: readonly (number | string)[] = [...bounds, "+Inf"];
  const values = () =>
    cells.labelled(labelNames).flatMap(({ labels, cell: { sum, buckets } }) => {
      let count = 0;
      const rows = bucketLabels.map((le, index) => {
        count += buckets[index] as number;
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...rows,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
  // The registry only reads the name and the values of a metric, but its types accept only prom-client's classes.
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
