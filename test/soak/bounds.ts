/**
 * What a figure may grow by in a minute. Pure.
 *
 * A leak of a whole mesh run is something per call or per visit. At 100,000 calls and 50 visits a minute, 1 MiB/min is
 * 10 bytes a call or 20 KiB a visit: less than the smallest object that one could forget for each of them. Counts of
 * things are whole numbers, and one forgotten for each visit would be 50/min, so 0.5/min is a hundredth of that. RSS
 * follows the heap in steps of the allocator, so that it is given more.
 */

const BOUNDS: Readonly<Record<string, number | undefined>> = {
  'heap MiB': 1,
  'external MiB': 1,
  'buffers MiB': 1,
  'rss MiB': 4,
  // Some for each stream and connection, and those of what is under way; one for each visit would be 50.
  'live EventTargets': 5,
  'bytes queued': 1024,
  events_queued_bytes: 1024,
  // A time and no size.
  'loop p99 ms': undefined,
}
const COUNT_PER_MINUTE = 0.5

/** Minutes of samples for which the bounds hold as they are: those of a run of ten. */
const FULL_SPAN = 7

/**
 * The error of a slope falls with the power 1.5 of the time that is looked at, so that a short run can only tell gross
 * leaks from noise: its bounds are wider by that much.
 *
 * @param spanMinutes from the first sample to the last
 * @returns undefined for what is shown and not judged
 */
export const boundOf = (series: string, spanMinutes: number): number | undefined => {
  const bound = Object.hasOwn(BOUNDS, series) ? BOUNDS[series] : COUNT_PER_MINUTE
  return bound === undefined ? undefined : bound * Math.max(1, (FULL_SPAN / Math.max(1, spanMinutes)) ** 1.5)
}
