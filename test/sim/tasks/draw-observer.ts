/**
 * What holds of the budget of each task at every index of the journal: no more is used than there is, draws are numbered one
 * after the other and count once, and what an attempt before left drawn stays used, but for what children leave that it has let
 * go. State: the last budget of each task, as each member has it.
 */
import {
  AMOUNT_NAMES,
  type Amounts,
  amountIn,
  isNothing,
  less,
  NO_AMOUNTS,
  sum,
} from '../../../protocols/budget/amounts.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { TASK_PREFIX, type TaskRecord } from '../../../protocols/task/task-record.ts'
import { isFinal } from '../../../protocols/task/task-status.ts'

type Seen = Pick<TaskRecord, 'budget' | 'fence' | 'status' | 'parent'>
interface Written {
  readonly key: string
  readonly value: unknown
}

const isInWork = ({ status }: Seen): boolean => status === 'assigned' || status === 'running'
const openOf = ({ budget }: Seen): Amounts => budget?.open ?? NO_AMOUNTS
const drawsOf = ({ budget }: Seen): number => budget?.draws ?? 0

const wrongBudget = (now: Seen): string | undefined => {
  const { amounts = {}, used = {} } = now.budget ?? {}
  for (const name of AMOUNT_NAMES) {
    const [all, is, drawn] = [amounts[name], amountIn(used, name), amountIn(openOf(now), name)]
    if (all !== undefined && is > all) return `${is} ${name} are used of ${all}`
    if (drawn > is) return `${drawn} ${name} are open of ${is} that are used`
  }
  return undefined
}

/** By the attempt in work. */
const wrongDraw = (before: Seen, now: Seen, isNext: boolean): string | undefined => {
  const [one, other] = [drawsOf(before), drawsOf(now)]
  return other < one || (isNext && other > one + 1) ? `its draw ${other} came after the draw ${one}` : undefined
}

/** What children left that have ended by this. @returns by parent; of those that are gone already, the most that it may be */
const leftByChildren = (written: readonly Written[], seen: ReadonlyMap<string, Seen>): ReadonlyMap<string, Amounts> => {
  const left = new Map<string, Amounts>()
  for (const { key, value } of written) {
    const before = seen.get(key.slice(TASK_PREFIX.length))
    const now = value as Seen | undefined
    const { parent, budget } = now ?? before ?? {}
    const hasEnded = before !== undefined && !isFinal(before.status) && (now === undefined || isFinal(now.status))
    if (!hasEnded || parent === undefined || budget?.returnsTo === undefined) continue
    const some = now === undefined ? budget.amounts : less(budget.amounts, budget.used)
    left.set(parent, sum(left.get(parent) ?? NO_AMOUNTS, some))
  }
  return left
}

/** @param left by children @param isNext `now` is as one decision after `before` left it */
const wrongStep = (before: Seen, now: Seen, left: Amounts, isNext: boolean): string | undefined => {
  const [one, other] = [before.budget, now.budget]
  if (one === undefined || other === undefined) return one === other ? undefined : 'its budget came or went'
  const isSame = before.fence?.index === now.fence?.index && isInWork(before) && isInWork(now)
  const wrong = isSame ? wrongDraw(before, now, isNext) : undefined
  if (wrong !== undefined) return wrong
  for (const name of AMOUNT_NAMES) {
    const is = amountIn(other.used, name)
    // What is left after it has ended comes too late.
    const isLate = isFinal(now.status) && is === amountIn(one.used, name)
    const was = amountIn(one.used, name) - (isLate ? 0 : amountIn(left, name))
    const [settled, settles] = [was - amountIn(openOf(before), name), is - amountIn(openOf(now), name)]
    if (settles < settled) return `${settled} ${name} of attempts before were used, and ${settles} are`
    if (isSame && is !== was && drawsOf(before) === drawsOf(now)) return `a draw made ${is} ${name} of ${was} once more`
    if (isNext && !isSame && is !== was) return `no attempt was at work, and ${was} ${name} became ${is}`
  }
  if (isNext && !isSame && isInWork(now) && !isNothing(openOf(now))) return 'it begins with what another attempt drew'
  return undefined
}

export class DrawObserver {
  readonly #members = new WeakMap<JournalMachine, { version: number; readonly seen: Map<string, Seen> }>()

  /** From now on each of its steps is looked at. */
  watch(machine: JournalMachine, tell: (problem: string) => void): void {
    if (this.#members.has(machine)) return
    const member = { version: machine.version(), seen: new Map<string, Seen>() }
    this.#members.set(machine, member)
    const note = ({ key, value }: Written, left: ReadonlyMap<string, Amounts>, isNext: boolean): void => {
      if (!key.startsWith(TASK_PREFIX)) return
      const id = key.slice(TASK_PREFIX.length)
      const [before, now] = [member.seen.get(id), value as Seen | undefined]
      if (now === undefined) return void member.seen.delete(id)
      member.seen.set(id, { budget: now.budget, fence: now.fence, status: now.status, parent: now.parent })
      const wrong = wrongBudget(now) ?? (before && wrongStep(before, now, left.get(id) ?? NO_AMOUNTS, isNext))
      if (wrong !== undefined) tell(`${id} at ${machine.version()}: ${wrong}`)
    }
    const noteAll = (written: readonly Written[], isNext: boolean): void => {
      const left = leftByChildren(written, member.seen)
      for (const one of written) note(one, left, isNext)
    }
    noteAll([...machine.records.all()], false)
    machine.onApplied(() => {
      const { version: since } = member
      member.version = machine.version()
      const changes = machine.records.since(since, 8_192, 16 * 1024 * 1024)
      if (changes !== undefined) noteAll(changes, member.version === since + 1)
      else noteAll([...machine.records.all()], false)
    })
  }
}
