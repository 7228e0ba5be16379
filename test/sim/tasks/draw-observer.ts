/**
 * What holds of the budget of each task at every index of the journal: no more is used than there is, draws are numbered one
 * after the other and count once, and what an attempt before left drawn stays used. State: the last budget of each task, as each
 * member has it.
 */
import { AMOUNT_NAMES, type Amounts, amountIn, isNothing, NO_AMOUNTS } from '../../../protocols/budget/amounts.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { TASK_PREFIX, type TaskRecord } from '../../../protocols/task/task-record.ts'

type Seen = Pick<TaskRecord, 'budget' | 'fence' | 'status'>

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

/** @param isNext `now` is as one decision after `before` left it */
const wrongStep = (before: Seen, now: Seen, isNext: boolean): string | undefined => {
  const [one, other] = [before.budget, now.budget]
  if (one === undefined || other === undefined) return one === other ? undefined : 'its budget came or went'
  const isSame = before.fence?.index === now.fence?.index && isInWork(before) && isInWork(now)
  const wrong = isSame ? wrongDraw(before, now, isNext) : undefined
  if (wrong !== undefined) return wrong
  for (const name of AMOUNT_NAMES) {
    const [was, is] = [amountIn(one.used, name), amountIn(other.used, name)]
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
    const note = (key: string, value: unknown, isNext: boolean): void => {
      if (!key.startsWith(TASK_PREFIX)) return
      const id = key.slice(TASK_PREFIX.length)
      const [before, now] = [member.seen.get(id), value as Seen | undefined]
      if (now === undefined) return void member.seen.delete(id)
      member.seen.set(id, { budget: now.budget, fence: now.fence, status: now.status })
      const wrong = wrongBudget(now) ?? (before && wrongStep(before, now, isNext))
      if (wrong !== undefined) tell(`${id} at ${machine.version()}: ${wrong}`)
    }
    for (const { key, value } of machine.records.all()) note(key, value, false)
    machine.onApplied(() => {
      const { version: since } = member
      member.version = machine.version()
      const changes = machine.records.since(since, 8_192, 16 * 1024 * 1024)
      if (changes !== undefined) for (const { key, value } of changes) note(key, value, member.version === since + 1)
      else for (const { key, value } of machine.records.all()) note(key, value, false)
    })
  }
}
