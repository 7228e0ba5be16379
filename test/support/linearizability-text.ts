/** Why a history is not linearizable, for people: the end of the longest order, and what has no place after it. Pure. */
import type { Model, NotLinearizable, Operation } from './linearizability.ts'

const MOST = 12

const rounded = (moment: number): number => Math.round(moment * 10) / 10

const shown = <S, I, O>(
  model: Model<S, I, O>,
  { process, input, output, callAt, returnAt }: Operation<I, O>,
): string => {
  const answer = returnAt === undefined ? undefined : output
  const what = model.show?.(input, answer) ?? `${JSON.stringify(input)} ${JSON.stringify(answer)}`
  return `${rounded(callAt)} to ${returnAt === undefined ? '?' : rounded(returnAt)} ${process}: ${what}`
}

/** Several lines, at most `most` operations of each kind. */
export const explainHistory = <S, I, O>(
  model: Model<S, I, O>,
  { partition, placed, state, blocked, unplaced }: NotLinearizable<S, I, O>,
  most = MOST,
): string => {
  const object = partition === '' ? '' : ` of ${partition}`
  const others = unplaced.filter((operation) => operation !== blocked)
  const left = (count: number): string => (count > 0 ? `, ${count} more left out` : '')
  return [
    `the history${object} is not linearizable, no order has a place for ${shown(model, blocked)}`,
    `the longest order has ${placed.length} operations and ends in${left(placed.length - most)}`,
    ...placed.slice(-most).map((operation) => `  ${shown(model, operation)}`),
    `  after which the state is ${model.key(state)}`,
    ...(others.length === 0 ? [] : [`called by then and not placed either${left(others.length - most)}`]),
    ...others.slice(-most).map((operation) => `  ${shown(model, operation)}`),
  ].join('\n')
}
