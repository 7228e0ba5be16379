/** Whether what was answered is what is there. Pure. */
import { compareFences, type Fence, NO_FENCE } from '../../protocols/journal/fencing/fence.ts'
import { checkLinearizable } from '../support/linearizability.ts'
import { recordModel } from '../support/linearizability-models.ts'
import { explainHistory } from '../support/linearizability-text.ts'
import type { Taken } from './ledger.ts'
import type { Decision, History } from './load.ts'

/** A record as the journal tells it. */
export interface FoundRecord {
  readonly key: string
  readonly version: number
  readonly term: number
  readonly value: unknown
}

export interface Judgement {
  readonly lost: number
  readonly twice: number
  /** One sentence each, for people. */
  readonly wrong: readonly string[]
}

/** What was acknowledged is there once and as it was told, what was refused is not, and nobody's records are not either. */
export const judgeDecisions = (decisions: readonly Decision[], records: readonly FoundRecord[]): Judgement => {
  const found = new Map(records.map((record) => [record.key, record]))
  const wrong: string[] = []
  let lost = 0
  let twice = 0
  for (const { kind, key, outcome, version, term, times, why } of decisions) {
    const record = found.get(key)
    found.delete(key)
    const expected = kind === 'write' ? key : 1
    const isTwice = times > 1 || (kind === 'note' && typeof record?.value === 'number' && record.value > 1)
    if (isTwice) {
      twice += 1
      wrong.push(`${key} was applied ${record?.value ?? times} times, answered with ${times}`)
    } else if (outcome === 'acknowledged' && record === undefined) {
      lost += 1
      wrong.push(`${key} was acknowledged at ${term}.${version} and is lost`)
    } else if (outcome === 'acknowledged' && record !== undefined && record.version > version) {
      // Written anew by the same command.
      twice += 1
      wrong.push(`${key} was acknowledged at ${term}.${version} and stands at ${record.term}.${record.version}`)
    } else if (outcome === 'acknowledged' && (record?.version !== version || record.term !== term)) {
      wrong.push(`${key} was acknowledged at ${term}.${version} and stands at ${record?.term}.${record?.version}`)
    } else if (outcome === 'refused' && record !== undefined) {
      wrong.push(`${key} was refused (${why}) and is there`)
    }
    if (record !== undefined && !isTwice && record.value !== expected)
      wrong.push(`${key} holds ${JSON.stringify(record.value)}`)
  }
  for (const key of found.keys()) wrong.push(`${key} is there, and nobody decided it`)
  wrong.push(...judgeOrder(decisions))
  return { lost, twice, wrong }
}

/** Versions name one decision each, and terms rise with them; a later question has a later answer. */
const judgeOrder = (decisions: readonly Decision[]): string[] => {
  const wrong: string[] = []
  const inOrder = decisions
    .filter(({ outcome }) => outcome === 'acknowledged')
    .toSorted((a, b) => a.version - b.version || a.callAt - b.callAt)
  let latestCall = Number.NEGATIVE_INFINITY
  for (const [i, { key, version, term, callAt, endAt }] of inOrder.entries()) {
    const before = inOrder[i - 1]
    if (before !== undefined && (version === before.version || term < before.term))
      wrong.push(`${before.key} is decision ${before.term}.${before.version} and ${key} is ${term}.${version}`)
    if (endAt < latestCall) wrong.push(`${key} was answered before one was asked for that has an older version`)
    latestCall = Math.max(latestCall, callAt)
  }
  return wrong
}

/** One object could have answered so; and as many raises were done as the counter says. */
export const judgeCounter = (history: History, last: string | undefined): Judgement => {
  const wrong: string[] = []
  const verdict = checkLinearizable(recordModel, history)
  if (verdict.verdict === 'not') wrong.push(explainHistory(recordModel, verdict))
  if (verdict.verdict === 'unknown') wrong.push(`${verdict.steps} steps did not decide whether it is linearizable`)
  const raises = history.filter(({ input }) => input.type === 'put')
  const done = raises.filter(({ output }) => output?.type === 'written').length
  const open = raises.filter(({ output }) => output === undefined).length
  const count = Number.parseInt(last ?? '0', 10)
  const lost = Math.max(0, done - count)
  const twice = Math.max(0, count - done - open)
  if (lost + twice > 0)
    wrong.push(`the counter is at ${count} after ${done} raises that were acknowledged, ${open} open`)
  return { lost, twice, wrong }
}

/** Each directive that was let through is no older than those before it, and each epoch has one who directs. */
export const judgeTaken = (taken: readonly Taken[]): string[] => {
  const wrong: string[] = []
  const directs = new Map<number, string>()
  let highest: Fence = NO_FENCE
  for (const { peer, epoch, fence, refused } of taken) {
    if (refused !== undefined) {
      if (refused !== 'STA002') wrong.push(`a directive of epoch ${epoch} was refused with ${refused}`)
      continue
    }
    const told = `${fence.term}.${fence.index}`
    if (compareFences(fence, highest) < 0)
      wrong.push(`${told} of epoch ${epoch} was let through after ${highest.term}.${highest.index}`)
    else highest = fence
    if (fence.term !== epoch) wrong.push(`epoch ${epoch} directs with the fence ${told}`)
    if (directs.get(epoch) !== undefined && directs.get(epoch) !== peer)
      wrong.push(`${directs.get(epoch)} and ${peer} both direct in epoch ${epoch}`)
    directs.set(epoch, peer)
  }
  return wrong
}

/** The longest time between two answers from `from` to `to`, and the longest that one took. */
export const waits = (
  decisions: readonly Decision[],
  from: number,
  to: number,
): { readonly gapMs: number; readonly slowestMs: number } => {
  const answered = decisions.filter(({ outcome, endAt }) => outcome === 'acknowledged' && endAt >= from && endAt <= to)
  const times = [from, ...answered.map(({ endAt }) => endAt).toSorted((a, b) => a - b), to]
  const gaps = times.map((at, i) => at - (times[i - 1] ?? at))
  return {
    gapMs: Math.max(...gaps),
    slowestMs: answered.reduce((most, { callAt, endAt }) => Math.max(most, endAt - callAt), 0),
  }
}
