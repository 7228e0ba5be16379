/**
 * Whether a history of concurrent operations could come from one object that does them one after the other, each at some
 * moment between its call and its return (Herlihy and Wing 1990). The search is in `linearizability-search.ts`.
 *
 * An operation without a return is one whose answer was lost: it may have its effect at any moment after its call, or
 * never. A history of several independent objects is linearizable exactly when that of each object is (Horn and Kroening,
 * "Faster linearizability checking via P-compositionality", 2015), so a model may say to which object an input belongs.
 *
 * The question is NP-complete: the work is bounded, and a history that takes more is `unknown`, never `linearizable`.
 */
import { search } from './linearizability-search.ts'

export interface Operation<I, O> {
  /** Who asked; for people only. */
  readonly process: string
  readonly input: I
  /** What was answered, and `null` where that is nothing; undefined: it did not return. */
  readonly output: O | undefined
  readonly callAt: number
  /** By the same clock, not before `callAt`; undefined: nobody knows whether it had an effect. */
  readonly returnAt: number | undefined
}

/** An object as it would be without concurrency. States are values: a step makes new ones. */
export interface Model<S, I, O> {
  init(): S
  /**
   * States that the object may be in after this input with this answer; none: it would not have answered so.
   * Without an answer: the states after any answer, those that are as before may be left out.
   */
  step(state: S, input: I, output: O | undefined): readonly S[]
  /** The same text for the same state, and for no other. */
  key(state: S): string
  /** The object that an input is for, where there are several; each begins with `init()`. */
  partition?(input: I): string
  /** For speed: this had no effect, it can only tell more of the state. Where it fits, it is placed at once. */
  isRead?(input: I, output: O): boolean
  /**
   * For speed: whatever came right before it, and has no answer, leaves no trace. So nothing of that kind is placed only to
   * be followed by this.
   */
  overwrites?(input: I): boolean
  /** One operation, for people. */
  show?(input: I, output: O | undefined): string
}

export interface CheckOptions {
  /** Steps of the model that may be tried; a million take about half a second and some 100 MB. */
  readonly maxSteps?: number
}

interface Work {
  /** Pairs of (operations that were placed, state) that were looked at. */
  readonly configurations: number
  /** Steps of the model that were tried. */
  readonly steps: number
}

export interface Linearizable<I, O> extends Work {
  readonly verdict: 'linearizable'
  /** An order that explains all answers, for each object. What had no effect is not in it. */
  readonly orders: ReadonlyMap<string, readonly Operation<I, O>[]>
}

/** The history up to the return of `blocked` cannot be explained; up to just before that, it can. */
export interface NotLinearizable<S, I, O> extends Work {
  readonly verdict: 'not'
  /** The object, where there are several. */
  readonly partition: string
  /** The longest order that was found. */
  readonly placed: readonly Operation<I, O>[]
  /** The state after it. */
  readonly state: S
  /** It returned next and has no place. */
  readonly blocked: Operation<I, O>
  /**
   * What was called before `blocked` returned and is not placed: `blocked`, then others that returned, then those without a
   * return that would have an effect on the state.
   */
  readonly unplaced: readonly Operation<I, O>[]
}

export interface Undecided extends Work {
  readonly verdict: 'unknown'
}

export type Verdict<S, I, O> = Linearizable<I, O> | NotLinearizable<S, I, O> | Undecided

const MAX_STEPS = 10_000_000
/** The only object, where a model names none. */
const ONLY = ''

const checkOperations = <I, O>(history: readonly Operation<I, O>[]): void => {
  for (const { process, output, callAt, returnAt } of history) {
    if (!Number.isFinite(callAt) || (returnAt !== undefined && !(returnAt >= callAt)))
      throw new RangeError(`an operation of ${process} is called at ${callAt} and returns at ${returnAt}`)
    if ((output === undefined) !== (returnAt === undefined))
      throw new RangeError(
        `an operation of ${process}, called at ${callAt}, has an answer without a return or none with it`,
      )
  }
}

const parts = <S, I, O>(
  model: Model<S, I, O>,
  history: readonly Operation<I, O>[],
): ReadonlyMap<string, readonly Operation<I, O>[]> =>
  Map.groupBy(history, ({ input }) => model.partition?.(input) ?? ONLY)

/**
 * Calls and returns at the same moment count as concurrent.
 *
 * @param history in any order
 * @throws RangeError where an operation returns before it was called, or has an answer and no return, or no answer and one
 */
export const checkLinearizable = <S, I, O>(
  model: Model<S, I, O>,
  history: readonly Operation<I, O>[],
  { maxSteps = MAX_STEPS }: CheckOptions = {},
): Verdict<S, I, O> => {
  checkOperations(history)
  const orders = new Map<string, readonly Operation<I, O>[]>()
  let configurations = 0
  let steps = 0
  let isDecided = true
  for (const [partition, operations] of parts(model, history)) {
    const { found, ...work } = search(model, operations, maxSteps - steps)
    configurations += work.configurations
    steps += work.steps
    if (found.verdict === 'not') return { ...found, partition, configurations, steps }
    // Another object may still be found wrong.
    if (found.verdict === 'unknown') isDecided = false
    else orders.set(partition, found.order)
  }
  return isDecided
    ? { verdict: 'linearizable', orders, configurations, steps }
    : { verdict: 'unknown', configurations, steps }
}
