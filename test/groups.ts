/**
 * Which unit tests share a process: to start one costs more than most of them take. Those that change or measure what all of
 * a process share have one of their own, which their text tells; together.ts notices others. Pure.
 */

/** Told by the text of the file. */
const OF_THE_PROCESS = [
  /\bmock\.timers\b/,
  /\bprocess\.(chdir|umask|on|once|exit|setuid)\(/,
  /\bprocess\.env\.\w+ = /,
  /\bmock\.method\((process|console|globalThis|performance|Date|Math)\b/,
  /\bsetFlagsFromString\b/,
  /\b(eventLoopUtilization|cpuUsage|memoryUsage|getHeapStatistics)\b/,
]

/** @param text of a test file */
export const ownProcess = (text: string): boolean => OF_THE_PROCESS.some((sign) => sign.test(text))

/** Files that stand beside each other, in groups of at most `size`. */
export const groupsOf = (files: readonly string[], size: number): string[][] =>
  Array.from({ length: Math.ceil(files.length / size) }, (_, at) => files.slice(at * size, (at + 1) * size))
