/**
 * Histories to test the checker with: of real objects that answer one after the other, so that there is an order; and a
 * second opinion on short ones, which tries every order.
 */
import type { Model, Operation } from './linearizability.ts'

export interface Execution<I, O> {
  readonly random: () => number
  readonly operations: number
  readonly clients: number
  /** Of the answers that are lost, some with their effect still to come, some without any. */
  readonly lostShare: number
  /** What a client asks for next. */
  ask(): I
  /** What the object answers. */
  apply(input: I): O
}

const LATE_MS = 200
const LONGEST_MS = 10

/** Each client has one operation at a time; one without an answer is left behind. */
export const historyOf = <I, O>({ random, operations, clients, lostShare, ask, apply }: Execution<I, O>) => {
  const history: Operation<I, O>[] = []
  const moments: { readonly at: number; run(): void }[] = []
  for (let client = 0; client < clients; client += 1) {
    let nowMs = random() * LONGEST_MS
    for (let i = client; i < operations; i += clients) {
      const callAt = nowMs
      const returnAt = callAt + random() * LONGEST_MS
      nowMs = returnAt + random()
      const isLost = random() < lostShare
      const at = isLost ? callAt + random() * LATE_MS : callAt + random() * (returnAt - callAt)
      const isDone = !isLost || random() < 0.6
      let input: I | undefined
      moments.push({
        at: callAt,
        run() {
          input = ask()
        },
      })
      moments.push({
        at,
        run() {
          if (input === undefined) return
          const output = isDone ? apply(input) : undefined
          const answer = isLost ? { output: undefined, returnAt: undefined } : { output, returnAt }
          history.push({ process: `c${client}`, input, callAt, ...answer })
        },
      })
    }
  }
  for (const { run } of moments.sort((a, b) => a.at - b.at)) run()
  return history
}

/** Tries all orders, and leaves out what has no return wherever it may: for short histories only. */
export const hasOrder = <S, I, O>(model: Model<S, I, O>, history: readonly Operation<I, O>[]): boolean => {
  const tryFrom = (left: readonly Operation<I, O>[], states: readonly S[]): boolean => {
    if (states.length === 0) return false
    if (left.every(({ returnAt }) => returnAt === undefined)) return true
    return left.some((next) => {
      const isTooSoon = left.some(({ returnAt }) => returnAt !== undefined && returnAt < next.callAt)
      if (isTooSoon) return false
      const others = left.filter((one) => one !== next)
      return tryFrom(
        others,
        states.flatMap((state) => model.step(state, next.input, next.output)),
      )
    })
  }
  return tryFrom(history, [model.init()])
}

/** Whether this order explains all answers: nothing is before what returned before its call, and what returned is there. */
export const isOrderOf = <S, I, O>(
  model: Model<S, I, O>,
  order: readonly Operation<I, O>[],
  history: readonly Operation<I, O>[],
): boolean => {
  const isComplete = history.every((one) => one.returnAt === undefined || order.includes(one))
  const isOnce = new Set(order).size === order.length && order.every((one) => history.includes(one))
  const isInTime = order.every((later, i) =>
    order.slice(0, i).every((earlier) => later.returnAt === undefined || later.returnAt >= earlier.callAt),
  )
  let states: readonly S[] = [model.init()]
  for (const { input, output } of order) states = states.flatMap((state) => model.step(state, input, output))
  return isComplete && isOnce && isInTime && states.length > 0
}
