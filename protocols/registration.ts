/**
 * What each registration returns: a handler that is served, a subscription, a listener. One thing takes each of them back.
 */

export interface Registration {
  /**
   * Takes back what was registered. A listener is called no more from here on; the promise resolves once the rest is done,
   * such as telling the directory. Calling it again waits for the same end.
   */
  stop(): Promise<void>
  /** The same: `await using registration = await mesh.serve(...)` ends it with its block. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * @param end runs at most once, and begins before `stop` returns; what it throws rejects the promise of `stop`
 */
export const createRegistration = (end: () => unknown): Registration => {
  let ended: Promise<void> | undefined
  const run = async (): Promise<void> => {
    await end()
  }
  const stop = (): Promise<void> => {
    ended ??= run()
    return ended
  }
  return { stop, [Symbol.asyncDispose]: stop }
}
