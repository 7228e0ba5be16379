/**
 * Promises for things that are settled elsewhere, by key. State: those that wait; each is settled once and forgotten.
 */
export interface KeyedPromises<K> {
  wait(key: K): Promise<K>
  resolve(key: K): void
  reject(key: K, error: Error): void
}

export const createKeyedPromises = <K>(): KeyedPromises<K> => {
  const waiting = new Map<K, { promise: Promise<K>; resolve(key: K): void; reject(error: Error): void }>()
  return {
    wait(key) {
      const known = waiting.get(key)
      if (known !== undefined) return known.promise
      const made = Promise.withResolvers<K>()
      waiting.set(key, made)
      return made.promise
    },
    resolve(key) {
      waiting.get(key)?.resolve(key)
      waiting.delete(key)
    },
    reject(key, error) {
      waiting.get(key)?.reject(error)
      waiting.delete(key)
    },
  }
}
