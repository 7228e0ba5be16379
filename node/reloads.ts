/** Changes of a running node's options, one after the other: each starts from what the one before has left. State: the last one. */
import type { Log } from '../protocols/port.ts'
import type { LiveParts } from './live-settings.ts'
import type { MeshOptionsInput } from './options.ts'
import type { Reloaded } from './reload.ts'
import { SECRET_ADVICE, secretWarning } from './secret.ts'

export const createReloads = (parts: LiveParts, log: Log): ((changes: MeshOptionsInput) => Promise<Reloaded>) => {
  let last: Promise<unknown> = Promise.resolve()

  const reload = async (changes: MeshOptionsInput): Promise<Reloaded> => {
    const [{ reload: change }, { liveSettings }] = await Promise.all([
      import('./reload.ts'),
      import('./live-settings.ts'),
    ])
    const done = await change(parts.options, changes, liveSettings(parts))
    const { secret = [], allowWeakSecret } = parts.options
    const warning = done.applied.includes('secret') && !allowWeakSecret ? secretWarning(secret) : undefined
    if (warning !== undefined) log.warn(warning, { hint: SECRET_ADVICE })
    log.info('options were changed', { applied: done.applied, needsRestart: done.needsRestart })
    return done
  }

  return (changes) => {
    const next = last.then(() => reload(changes))
    // The caller hears of it.
    last = next.catch(() => {})
    return next
  }
}
