/** V8's own function that collects garbage, which Node hides. Keeps no state. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export type Collect = (options: {
  readonly type: 'minor' | 'major'
  /** `last-resort` also gives back what V8 keeps in reserve. */
  readonly flavor?: 'last-resort'
}) => void

/**
 * Without the flag only a context has it that is made while it is set: nobody else gets to see it.
 * @returns undefined: this engine has none, or V8's flags may not be touched
 */
export const findCollect = (mayTouchFlags: boolean): Collect | undefined => {
  if (typeof globalThis.gc === 'function') return globalThis.gc as Collect
  if (!mayTouchFlags) return undefined
  try {
    setFlagsFromString('--expose-gc')
    const found: unknown = runInNewContext('gc')
    return typeof found === 'function' ? (found as Collect) : undefined
  } catch {
    // An engine without it works as it did before, only with longer pauses.
    return undefined
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}
