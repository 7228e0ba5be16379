/** Waiting for a condition with a deadline: tests look again and again, they never sleep for a guessed time. */
import { inspect } from 'node:util'

/**
 * Looks until `look` gives something other than false, null and undefined, and returns that.
 * @throws naming `what` and the last thing seen, when `withinMs` has passed
 */
export const until = async <T>(
  what: string,
  look: () => T | Promise<T>,
  withinMs = 10_000,
  everyMs = 10,
): Promise<Exclude<T, false | null | undefined>> => {
  const endsAt = performance.now() + withinMs
  for (;;) {
    const seen = await look()
    // Narrowed by the comparison; the compiler does not follow it for a generic type.
    if (seen !== false && seen !== null && seen !== undefined) return seen as Exclude<T, false | null | undefined>
    if (performance.now() > endsAt) throw new Error(`${what}: not within ${withinMs} ms; last seen ${inspect(seen)}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

/** What `promise` rejected with; fails where it did not, or not within the time. */
export const failureOf = async (promise: Promise<unknown>, withinMs = 15_000): Promise<unknown> => {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`neither failed nor ended within ${withinMs} ms`)), withinMs)
  try {
    const value = await Promise.race([promise.catch((error: unknown) => ({ error })), late])
    if (typeof value === 'object' && value !== null && 'error' in value) return value.error
    throw new Error(`should have failed and gave ${inspect(value)}`)
  } finally {
    clearTimeout(timer)
  }
}

/** Milliseconds that `run` took, and what came of it. */
export const timed = async <T>(run: () => Promise<T>): Promise<{ ms: number; value: T }> => {
  const startedAt = performance.now()
  const value = await run()
  return { ms: performance.now() - startedAt, value }
}
