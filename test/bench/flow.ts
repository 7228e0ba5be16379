/**
 * Watches that a bulk stream flows during the whole of a measurement. State: bytes and the longest pause so far.
 *
 * A stream that stalls half way leaves the connection idle, and calls beside it then look better than they are; a sum
 * of bytes alone would not show it.
 */
export interface Flow {
  add(bytes: number): void
  /** Starts a new measurement. */
  begin(): void
  /** Bytes since begin(), and the longest time without any, the time since the last one included. */
  end(): { readonly bytes: number; readonly longestPauseMs: number; readonly durationMs: number }
}

export const watchFlow = (nowMs: () => number): Flow => {
  let bytes = 0
  let longestPauseMs = 0
  let beginMs = nowMs()
  let lastMs = beginMs
  const pause = (at: number): void => {
    longestPauseMs = Math.max(longestPauseMs, at - lastMs)
    lastMs = at
  }
  return {
    add: (more) => {
      pause(nowMs())
      bytes += more
    },
    begin: () => {
      bytes = 0
      longestPauseMs = 0
      beginMs = nowMs()
      lastMs = beginMs
    },
    end: () => {
      const at = nowMs()
      pause(at)
      return { bytes, longestPauseMs, durationMs: at - beginMs }
    },
  }
}
