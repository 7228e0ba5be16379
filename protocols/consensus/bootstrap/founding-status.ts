/** How far a node is, and what it waits for, in words. */
import { type FoundingPlan, listNames } from './founding-plan.ts'
import { peersOf } from './founding-record.ts'
import { type FoundingState, meshIdIn } from './founding-steps.ts'

export interface FoundingStatus {
  /**
   * `founded`: as one of the founders. `adopted`: it belongs to a mesh that others founded. `promised`: bound to one set.
   * `waiting`: for enough candidates. `joiner`: for a mesh, it never founds.
   */
  readonly state: 'waiting' | 'promised' | 'founded' | 'adopted' | 'joiner'
  readonly expect?: number
  /** Member ids that might found a mesh with this one, which is among them. */
  readonly candidates: readonly string[]
  /** Of the set that this node promised: those whose promise it has not heard. */
  readonly waitingFor: readonly string[]
  /** Why it does not get on, and what to do. */
  readonly problem?: string
}

/** What the driver knows beside the state. */
export interface FoundingCircumstances {
  readonly plan: FoundingPlan | undefined
  /** The promise is not decided for so long that somebody has to look. */
  readonly isLate: boolean
  /** Members whose peers came back without their disk. */
  readonly lost: ReadonlySet<string>
}

const promiseProblem = (
  state: FoundingState,
  waitingFor: readonly string[],
  { isLate, lost }: FoundingCircumstances,
) => {
  const { promise, member } = state.record
  if (promise === undefined || !(isLate || member !== state.member)) return undefined
  const gone = waitingFor.filter((one) => lost.has(one))
  return [
    `this node promised to found a mesh with ${listNames(peersOf(promise.set.filter((one) => one !== member)))}`,
    waitingFor.length > 0 ? `, and waits for ${listNames(peersOf(waitingFor))}` : '',
    gone.length > 0 ? ` (without the disk that it had: ${listNames(peersOf(gone))})` : '',
    member === state.member ? '' : '; its own log store was lost since, so it will only join that mesh',
    '; start them again, each with its data directory. If one is gone for good and none of the others belongs to a mesh,',
    ' stop all of them, remove the founding file of each, and start them again',
  ].join('')
}

const joinerProblem =
  'this node has somewhere to join and no `expect`, so it never founds a mesh, and no peer has told it of one yet; ' +
  'give `expect` where it should found one with others'

export const statusOf = (state: FoundingState, around: FoundingCircumstances): FoundingStatus => {
  const { record, expect } = state
  const waitingFor = record.promise?.set.filter((member) => !state.promised.includes(member)) ?? []
  const statusAs = (name: FoundingStatus['state'], problem?: string): FoundingStatus => ({
    state: name,
    ...(expect !== undefined && { expect }),
    candidates: around.plan?.candidates ?? [],
    waitingFor,
    ...(problem !== undefined && { problem }),
  })
  if (meshIdIn(record) !== undefined) return statusAs(record.founded === undefined ? 'adopted' : 'founded')
  if (record.promise !== undefined) return statusAs('promised', promiseProblem(state, waitingFor, around))
  return expect === undefined ? statusAs('joiner', joinerProblem) : statusAs('waiting', around.plan?.problem)
}
