/** Changes of a running node's options, one after the other: each starts from what the one before has left. State: the last one. */
import type { Log } from '../../protocols/port.ts'
import type { PartRunner } from '../parts/runner.ts'
import { SECRET_ADVICE, secretWarning } from '../trust/secret.ts'
import type { LiveParts } from './live-settings.ts'
import type { Reloaded } from './reload.ts'
import type { MeshOptionsInput } from './schema.ts'

/** Options of parts that were given are theirs to take: each is named as `partOptions.acme/tally`. */
const reloadParts = (
  runner: Pick<PartRunner, 'reload'>,
  { options }: LiveParts,
  next: MeshOptionsInput['partOptions'],
): Pick<Reloaded, 'applied' | 'needsRestart'> => {
  const { applied, needsRestart } = runner.reload(next ?? {})
  for (const name of applied) options.partOptions[name] = next?.[name] ?? {}
  const written = (name: string): string => `partOptions.${name}`
  return { applied: applied.map(written), needsRestart: needsRestart.map(written) }
}

export const createReloadQueue = (
  parts: LiveParts,
  runner: Pick<PartRunner, 'reload' | 'check'>,
  log: Log,
): ((changes: MeshOptionsInput) => Promise<Reloaded>) => {
  let last: Promise<unknown> = Promise.resolve()

  const reload = async (changes: MeshOptionsInput): Promise<Reloaded> => {
    const [{ reloadOptions: change }, { liveSettings }] = await Promise.all([
      import('./reload.ts'),
      import('./live-settings.ts'),
    ])
    const { partOptions, ...rest } = changes
    runner.check(partOptions ?? {})
    const own = await change(parts.options, rest, liveSettings(parts))
    const ofParts = reloadParts(runner, parts, partOptions)
    const done = {
      ...own,
      applied: [...own.applied, ...ofParts.applied],
      needsRestart: [...own.needsRestart, ...ofParts.needsRestart],
    }
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
