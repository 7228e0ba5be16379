/** Something that happens once and that anybody may wait for, or give up waiting for. */
export const createFirstSync = () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => {}) // Nobody has to wait.
  const wait = ({ signal }: { signal?: AbortSignal } = {}): Promise<void> => {
    if (signal === undefined) return promise
    return new Promise((done, fail) => {
      const abort = () => fail(signal.reason)
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      promise.then(done, fail).finally(() => signal.removeEventListener('abort', abort))
    })
  }
  return { resolve, reject, wait }
}
