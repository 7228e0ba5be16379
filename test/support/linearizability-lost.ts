/**
 * Which operations without a return are worth placing. They may have had their effect at any moment after their call, or
 * never, so all of them could be tried everywhere; almost all of that is in vain.
 *
 * One is worth it only where it makes something possible: what is placed right after it would not be possible without it,
 * or would come to something else. Otherwise the same order without it explains as much. Of those that ask for the same,
 * the one that was called first stands for all.
 *
 * State: what could follow each state, as far as it was looked at; bounded.
 */
import type { Model, Operation } from './linearizability.ts'

const MAX_KNOWN_STATES = 10_000

export interface Standpoint<S> {
  readonly state: S
  readonly key: string
}

export interface LostMove<S> extends Standpoint<S> {
  /** Place among the operations without a return. */
  readonly index: number
}

export interface Lost<S, I, O> {
  /**
   * @param at where the operation would be placed
   * @param before the state before the last operation, where that has no return either
   * @param isFree whether the operation was called by then and is not used up
   * @param others what else may be placed next, of those that returned
   */
  worthPlacing(
    at: Standpoint<S>,
    before: Standpoint<S> | undefined,
    isFree: (index: number) => boolean,
    others: readonly Operation<I, O>[],
  ): LostMove<S>[]
  /** Steps of the model that were tried. */
  steps(): number
}

/** @param operations those without a return, by call */
export const createLost = <S, I, O>(model: Model<S, I, O>, operations: readonly Operation<I, O>[]): Lost<S, I, O> => {
  const alike = Map.groupBy(operations.keys(), (index) => JSON.stringify(operations[index]?.input))
  const groups = [...alike.values()].flatMap((indices) => {
    const first = operations[indices[0] ?? 0]
    return first === undefined
      ? []
      : [{ indices, input: first.input, isBlind: model.overwrites?.(first.input) ?? false }]
  })
  /** By the key of a state: for each group, what it makes of that state, other than itself. */
  const effects = new Map<string, ReadonlyMap<I, ReadonlySet<string>>>()
  let steps = 0

  const after = (state: S, { input, output }: { input: I; output: O | undefined }): S[] => {
    steps += 1
    return [...model.step(state, input, output)]
  }
  const keysAfter = (state: S, operation: { input: I; output: O | undefined }): Set<string> =>
    new Set(after(state, operation).map((next) => model.key(next)))

  const effectsOn = ({ state, key }: Standpoint<S>): ReadonlyMap<I, ReadonlySet<string>> => {
    const known = effects.get(key)
    if (known !== undefined) return known
    const found = new Map<I, ReadonlySet<string>>()
    for (const { input, isBlind } of groups) {
      if (isBlind) continue
      const keys = keysAfter(state, { input, output: undefined })
      keys.delete(key)
      if (keys.size > 0) found.set(input, keys)
    }
    if (effects.size >= MAX_KNOWN_STATES) effects.clear()
    effects.set(key, found)
    return found
  }

  /** Whether another one without a return does something at `next` that it does not do at `at`. */
  const leadsOn = (at: Standpoint<S>, next: Standpoint<S>): boolean => {
    const known = effectsOn(at)
    for (const [input, keys] of effectsOn(next))
      for (const key of keys) if (key !== at.key && known.get(input)?.has(key) !== true) return true
    return false
  }

  return {
    steps: () => steps,
    worthPlacing(at, before, isFree, others) {
      const moves: LostMove<S>[] = []
      const possible = others
        .filter(({ input }) => model.overwrites?.(input) !== true)
        .map((operation) => ({ operation, keys: keysAfter(at.state, operation) }))
      for (const { indices, input } of groups) {
        const index = indices.find(isFree)
        if (index === undefined) continue
        const lost = { input, output: undefined }
        const known = before === undefined ? undefined : keysAfter(before.state, lost)
        for (const state of after(at.state, lost)) {
          const key = model.key(state)
          if (key === at.key || key === before?.key || known?.has(key) === true) continue
          const next = { index, state, key }
          const isUseful = possible.some(({ operation, keys }) =>
            after(state, operation).some((further) => !keys.has(model.key(further))),
          )
          if (isUseful || leadsOn(at, next)) moves.push(next)
        }
      }
      return moves
    },
  }
}
