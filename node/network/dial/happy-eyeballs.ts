/**
 * A peer's addresses, tried side by side: the first one that answers wins, so that one that swallows packets delays
 * nobody. Source: RFC 8305 (Happy Eyeballs), sections 4 and 5.
 *
 * Keeps nothing beyond one race. The next attempt starts when the last one failed, or has not answered for the stagger;
 * those under way go on, up to a bound, beyond which the oldest is given up. The winner ends all others.
 */
import { onAbort } from '../../../protocols/async.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Stop, Timers } from '../../../protocols/port.ts'

/** RFC 8305, section 5: the recommended delay between two attempts. */
export const STAGGER_MS = 250
/** With the stagger the oldest of so many had two seconds without an answer. */
export const MAX_OPEN_ATTEMPTS = 8

export interface HappyEyeballsDeps<T> {
  timers: Pick<Timers, 'after'>
  attempt(address: string, signal: AbortSignal): Promise<T>
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const none = (addresses: readonly string[], errors: readonly unknown[]): unknown =>
  errors.length === 1
    ? errors[0]
    : new ParleyError('COM002', `none of ${addresses.length} addresses answered: ${errors.map(textOf).join('; ')}`, {
        hint: 'is the peer up, and does a firewall lie between?',
        details: { sent: false, addresses: [...addresses] },
        cause: errors[0],
      })

/**
 * What the first attempt that works returns. One that works as well, but later, is left to whoever made it.
 * @param addresses at least one, in the order in which they should be tried
 * @throws COM002 where none of several worked; what the attempt threw where there was one; the signal's reason
 */
export const happyEyeballs = <T>(
  addresses: readonly string[],
  deps: HappyEyeballsDeps<T>,
  signal: AbortSignal,
): Promise<T> => {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const waiting = [...addresses]
  const open = new Set<AbortController>()
  const errors: unknown[] = []
  let isOver = false
  let stopTimer: Stop = () => {}
  let stopFollowing: Stop = () => {}

  const end = (): void => {
    isOver = true
    stopTimer()
    stopFollowing()
    for (const one of open) one.abort(new Error('another address answered, or nobody waits any more'))
    open.clear()
  }
  const abort = (): void => {
    end()
    reject(errors.length > 0 ? none(addresses, [...errors, signal.reason]) : signal.reason)
  }

  const next = (): void => {
    stopTimer()
    const address = waiting.shift()
    if (isOver || address === undefined) return
    const [oldest] = open
    if (oldest !== undefined && open.size >= MAX_OPEN_ATTEMPTS) {
      open.delete(oldest)
      oldest.abort(new Error(`${address} is tried in its place`))
    }
    const controller = new AbortController()
    open.add(controller)
    if (waiting.length > 0) stopTimer = deps.timers.after(STAGGER_MS, next)
    deps.attempt(address, controller.signal).then(
      (value) => {
        if (isOver) return
        open.delete(controller)
        end()
        resolve(value)
      },
      (error: unknown) => {
        if (isOver) return
        errors.push(error)
        // One that was given up has been followed by another already.
        if (!open.delete(controller)) return
        if (waiting.length > 0) return next()
        if (open.size > 0) return
        end()
        reject(none(addresses, errors))
      },
    )
  }

  if (signal.aborted) return Promise.reject(signal.reason)
  stopFollowing = onAbort(signal, abort)
  next()
  return promise
}

/** IPv6 first, then in turn, so that a network without the one costs a single stagger. RFC 8305, section 4. */
const inTurn = (addresses: readonly string[]): string[] => {
  const six = addresses.filter((address) => /^\/(ip6|dns6)\b/.test(address))
  const others = addresses.filter((address) => !six.includes(address))
  return Array.from({ length: Math.max(six.length, others.length) }, (_, at) => [six[at], others[at]])
    .flat()
    .filter((address) => address !== undefined)
}

/** The order of a race: what answered last, direct addresses, and those by way of a relay. */
export const dialOrder = (addresses: readonly string[], good: string | undefined): string[] => {
  const once = [...new Set(addresses)]
  const isGood = (address: string): boolean =>
    good !== undefined && (address === good || address.startsWith(`${good}/p2p/`))
  const isRelayed = (address: string): boolean => address.includes('/p2p-circuit')
  const rest = once.filter((address) => !isGood(address))
  return [
    ...once.filter(isGood),
    ...inTurn(rest.filter((address) => !isRelayed(address))),
    ...inTurn(rest.filter(isRelayed)),
  ]
}
