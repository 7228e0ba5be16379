/**
 * What a receiver of effects remembers: for each scope (a task, a resource, whatever the effect is about) the highest fence
 * that it saw. Lower ones are refused (STA002), so that a coordinator that was replaced has no effect any more.
 *
 * It is durable before the effect is let through: a receiver that was restarted refuses the same ones. State: the highest
 * fence of each scope, bounded: what is forgotten raises the floor, below which nothing unknown is let through, so that
 * forgetting refuses too much and never too little.
 */
import { ParleyError } from '../../errors.ts'
import { compareFences, type Fence, NO_FENCE } from './fence.ts'

export const MAX_SCOPES = 65_536
export const MAX_SCOPE_LENGTH = 256

/** Where fences are kept; without one they are kept as long as the process. */
export interface FenceStore {
  load(): Promise<{ floor: Fence; scopes: readonly (readonly [string, Fence])[] }>
  /** Resolves once it is durable. */
  save(scope: string, fence: Fence, floor: Fence): Promise<void>
}

export interface Fences {
  /**
   * Lets an effect through, or refuses it. The same fence again is let through: it is the same decision.
   * @throws STA002 with `details.highest`, or `details.reason` `unproven` for an epoch that nobody proves within 3 s; MSG001 for a scope that is not usable; STA003 where it could not be kept
   */
  accept(scope: string, fence: Fence): Promise<void>
  highest(scope: string): Fence | undefined
  counts(): { accepted: number; refused: number; scopes: number; forgotten: number }
}

export interface FenceOptions {
  readonly maxScopes?: number
  /** Whether this term is one of the mesh: a fence of a term that nobody reached would shut out all that come. */
  readonly isProven?: (term: number) => true | Promise<boolean>
}

const unproven = (scope: string, fence: Fence): ParleyError =>
  new ParleyError('STA002', `nobody proves the epoch of the decision ${fence.term}.${fence.index} about ${scope}`, {
    hint: 'where it was forged, nothing is lost; otherwise try again once this node has heard of that epoch',
    details: { scope, fence, reason: 'unproven' },
  })

export const createFenceGuard = async (
  store?: FenceStore,
  { maxScopes = MAX_SCOPES, isProven = () => true }: FenceOptions = {},
): Promise<Fences> => {
  const kept = await store?.load()
  let floor = kept?.floor ?? NO_FENCE
  /** The one that was used last stands last. */
  const scopes = new Map<string, Fence>(kept?.scopes)
  const counts = { accepted: 0, refused: 0, forgotten: 0 }
  /** On their way to the disk. */
  const saving = new Map<string, Promise<void>>()

  const forget = (): void => {
    while (scopes.size > maxScopes) {
      const [oldest] = scopes
      if (oldest === undefined) return
      scopes.delete(oldest[0])
      if (compareFences(oldest[1], floor) > 0) floor = oldest[1]
      counts.forgotten += 1
    }
  }

  return {
    async accept(scope, fence) {
      if (scope.length === 0 || scope.length > MAX_SCOPE_LENGTH)
        throw new ParleyError('MSG001', `a scope of ${scope.length} characters is not usable`, {
          hint: `use 1 to ${MAX_SCOPE_LENGTH} characters: the name of what the effect is about`,
        })
      const proven = isProven(fence.term)
      if (proven !== true && !(await proven)) {
        counts.refused += 1
        throw unproven(scope, fence)
      }
      const known = scopes.get(scope)
      const highest = known ?? floor
      const order = compareFences(fence, highest)
      if (order < 0 || (order === 0 && known === undefined && floor !== NO_FENCE)) {
        counts.refused += 1
        throw new ParleyError('STA002', `a newer decision about ${scope} was seen: ${highest.term}.${highest.index}`, {
          hint: 'another node coordinates now; what this one asks for is out of date',
          details: { scope, fence, highest },
        })
      }
      scopes.delete(scope)
      scopes.set(scope, fence)
      counts.accepted += 1
      forget()
      if (order > 0 && store !== undefined) {
        const saved = store.save(scope, fence, floor)
        saving.set(scope, saved)
        const done = (): void => {
          if (saving.get(scope) === saved) saving.delete(scope)
        }
        saved.then(done, done)
      }
      await saving.get(scope)
    },
    highest: (scope) => scopes.get(scope),
    counts: () => ({ ...counts, scopes: scopes.size }),
  }
}
