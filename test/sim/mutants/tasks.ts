/** Deliberate bugs of tasks, found by nodes under faults. */
import type { Mutant } from './mutant.ts'

const TASK = 'protocols/task'

const FOUND: readonly Mutant[] = [
  {
    bug: 'what an attempt reports counts whoever has the task by now',
    file: `${TASK}/journal/task-ledger.ts`,
    find: 'if (isIts && record.fence !== undefined && compareFences(fence, record.fence) === 0) return record',
    replace: 'if (record !== undefined && !isFinal(record.status)) return record',
  },
  {
    bug: 'an effect that was recorded runs again',
    file: `${TASK}/worker/recorded-effect.ts`,
    find: 'const known = rows.get(row)',
    replace: 'const known = undefined as Json | undefined',
  },
  {
    bug: 'an effect counts as recorded before it is decided',
    file: `${TASK}/worker/recorded-effect.ts`,
    find: "const { result } = await decide({ do: 'effect', id, fence, name, key, value })",
    replace: "decide({ do: 'effect', id, fence, name, key, value }).catch(() => {})\n  const result: Json = {}",
  },
  {
    bug: 'a task whose worker is gone stays with it',
    file: `${TASK}/scheduler/tasks-of-workers.ts`,
    find: 'if (isGone) return',
    replace: 'if (isGone && found === null) return',
  },
  {
    bug: 'a task that waits for another one is not looked at when that ends',
    file: `${TASK}/scheduler/task-board.ts`,
    find: '      this.#dependents.ended(id, record)\n',
    replace: '',
  },
  {
    bug: 'a checkpoint loses the input',
    file: `${TASK}/journal/task-ledger.ts`,
    find: 'if (input !== undefined) work.put(INPUT_ROW, input as unknown as Json)',
    replace: '',
  },
  {
    bug: 'a task that fails each time is tried for ever',
    file: `${TASK}/journal/attempt-changes.ts`,
    find: 'if (!retry || failures > record.retry.max) {',
    replace: 'if (!retry) {',
  },
  {
    bug: 'a new coordinator does not read what there is',
    file: `${TASK}/scheduler/task-scheduler.ts`,
    find: "for (const change of all) if (change.type === 'task') this.#set(change)",
    replace: '',
  },
  {
    bug: 'a feed that goes on elsewhere begins behind what it missed',
    file: 'protocols/journal/feed/record-feeds.ts',
    find: 'else for (const [id, at] of since) feed.mark(id, at)',
    replace: '',
  },
  {
    bug: 'a word that is given to a task is not kept',
    file: `${TASK}/journal/peer-changes.ts`,
    find: '  ledger.putSignal(id, row, value)\n',
    replace: '',
  },
  {
    bug: 'the last word that is given counts, and not the first',
    file: `${TASK}/journal/peer-changes.ts`,
    find: 'if (signals.get(row) !== undefined) return { status: record.status, known: true }',
    replace: '',
  },
  {
    bug: 'another attempt does not know that it slept',
    file: `${TASK}/worker/task-attempt.ts`,
    find: 'const known = this.#rows.get(sleepRow(name))',
    replace: 'const known = undefined as Json | undefined',
  },
  {
    bug: 'another attempt may not submit the children of the first',
    file: `${TASK}/journal/submit-tasks.ts`,
    find: 'return ledger.keepsHistories && parent !== undefined && parent === task.parent',
    replace: 'return false',
  },
  {
    bug: 'a task begins although what it depends on failed',
    file: `${TASK}/journal/coordinator-changes.ts`,
    find: "else if (condition === 'completed' && status !== 'completed')",
    replace: 'else if (status === undefined)',
  },
  {
    bug: 'nobody looks at deadlines',
    file: `${TASK}/scheduler/board-task.ts`,
    find: 'return [deadline, wait?.until, inQueue',
    replace: 'return [wait?.until, inQueue',
  },
  {
    bug: 'a task that waits in vain is not woken',
    file: `${TASK}/scheduler/board-task.ts`,
    find: 'return [deadline, wait?.until, inQueue',
    replace: 'return [deadline, inQueue',
  },
  {
    bug: 'a task that has slept is not placed again',
    file: `${TASK}/scheduler/board-task.ts`,
    find: "return status === 'queued' && notBefore !== undefined && notBefore <= now ? 'place' : undefined",
    replace: 'return undefined',
  },
  {
    bug: 'children of what ended stay',
    file: `${TASK}/scheduler/task-dependents.ts`,
    find: '    if (endsChildren(status)) for (const child of this.#children.get(id) ?? []) this.#orphans.add(child)\n',
    replace: '',
  },
  {
    bug: 'who waits for a task does not read what ended while nobody told it',
    file: `${TASK}/client/task-trackers.ts`,
    find: 'for (const id of this.#trackers.keys()) if (!ids.has(id)) this.#readAgain(id)',
    replace: 'void ids',
  },
  {
    bug: 'a worker whose lease ran out keeps what it had',
    file: `${TASK}/worker/task-worker.ts`,
    find: 'for (const attempt of this.#attempts.values()) this.#end(attempt, why)',
    replace: 'for (const attempt of this.#attempts.values()) attempt.abandon(why)',
  },
  {
    bug: 'a worker begins before it has what the task requires',
    file: `${TASK}/worker/task-worker.ts`,
    find: 'if (allocation === undefined) return fn\n',
    replace: 'if (allocation !== null) return fn\n',
  },
  {
    bug: 'a task goes to another one while its worker may go on, although it must not',
    file: `${TASK}/scheduler/tasks-of-workers.ts`,
    find: " && takeover !== 'after-lease'",
    replace: '',
  },
  {
    bug: 'what was allocated for an attempt stays when that is over',
    file: `${TASK}/scheduler/task-allocations.ts`,
    find: '      await capacity.unassign(id)\n',
    replace: '',
  },
  {
    bug: 'what is allocated for a task that is being placed is given back',
    file: `${TASK}/scheduler/task-allocations.ts`,
    find: 'if (isItsOwn || this.#placing.has(id) || this.#ending.has(id)) continue',
    replace: 'if (isItsOwn || this.#ending.has(id)) continue',
  },
  {
    bug: 'an attempt whose resources have ended goes on',
    file: `${TASK}/worker/claimed-work.ts`,
    find: "    held.signal.addEventListener('abort', ended, { once: true })\n",
    replace: '',
  },
  {
    bug: 'a task whose resources were refused does not ask again',
    file: `${TASK}/scheduler/needy-tasks.ts`,
    find: 'if (isIts) missed(task)',
    replace: '',
  },
  {
    bug: 'what a new coordinator finds allocated is given back by nobody',
    file: `${TASK}/scheduler/task-allocations.ts`,
    find: 'for (const assigned of deps.capacity.assigned()) this.#told(assigned, true)',
    replace: '',
  },
  {
    bug: 'what a lost attempt had drawn can be drawn again',
    file: `${TASK}/journal/task-ledger.ts`,
    find: '  const { open: _open, draws: _draws, ...rest } = budget\n  return { budget: rest }',
    replace:
      '  const { open = {}, draws: _draws, ...rest } = budget\n  const tokens = (rest.used.tokens ?? 0) - (open.tokens ?? 0)\n  return { budget: { ...rest, used: { ...rest.used, tokens } } }',
  },
  {
    bug: 'another attempt has what the one before it drew',
    file: `${TASK}/journal/task-ledger.ts`,
    find: '  const { open: _open, draws: _draws, ...rest } = budget\n',
    replace: '  const { draws: _draws, ...rest } = budget\n',
  },
  {
    bug: 'a draw that is asked for again counts once more',
    file: `${TASK}/journal/task-budgets.ts`,
    find: '  if (number === draws) return { used: budget.used }\n  if (number !== draws + 1) throw outOfOrder(id, number, draws)\n',
    replace: '  if (number !== draws + 1 && number !== draws) throw outOfOrder(id, number, draws)\n',
  },
  {
    bug: 'numbers of draws are not checked',
    file: `${TASK}/journal/task-budgets.ts`,
    find: '  if (number !== draws + 1) throw outOfOrder(id, number, draws)\n',
    replace: '',
  },
  {
    bug: 'an attempt gives back what attempts before it drew',
    file: `${TASK}/journal/task-budgets.ts`,
    find: 'const returned = atMost(limitedBy(open, back), open)',
    replace: 'const returned = back',
  },
  {
    bug: 'whoever had a task still draws of its budget, and gives back',
    file: `${TASK}/journal/task-budgets.ts`,
    find: 'const record = workingTask(ledger, change)',
    replace: 'const record = ledger.open(id)',
  },
  {
    bug: 'what is asked for is not measured by what is left of the budget of a task',
    file: `${TASK}/journal/task-budgets.ts`,
    find: 'less(budget.amounts, before), amounts)',
    replace: 'budget.amounts, amounts)',
  },
  {
    bug: 'what is given back of the budget of a task is not drawn any less',
    file: `${TASK}/journal/task-budgets.ts`,
    find: 'open: less(open, returned) }',
    replace: 'open }',
  },
  {
    bug: 'an attempt spends before its draw is decided',
    file: `${TASK}/worker/attempt-budget.ts`,
    find: "await this.#decide({ do: 'draw', number: this.#draws + 1, amounts: limited })",
    replace: "this.#decide({ do: 'draw', number: this.#draws + 1, amounts: limited }).catch(() => {})",
  },
  {
    bug: 'an attempt spends what it gave back',
    file: `${TASK}/worker/attempt-budget.ts`,
    find: '      slice.reserve(back)\n',
    replace: '',
  },
  {
    bug: 'an attempt gives back what it spent',
    file: `${TASK}/worker/attempt-budget.ts`,
    find: 'this.#return({ back })',
    replace: 'this.#return({ back: { tokens: 1_000 } })',
  },
  {
    bug: 'what a child used that was let go of comes back to its parent',
    file: `${TASK}/journal/child-budgets.ts`,
    find: 'const left = limitedBy(record.budget.amounts, leftOf(child))',
    replace: 'const left = limitedBy(record.budget.amounts, budget.amounts)',
  },
  {
    bug: 'what a task used comes back to who submitted it',
    file: `${TASK}/client/watched-shares.ts`,
    find: 'share.told(budget?.left ?? {})',
    replace: 'share.told(budget?.amounts ?? {})',
  },
  {
    bug: 'what a task did not use does not come back',
    file: `${TASK}/client/watched-shares.ts`,
    find: '      share.told(budget?.left ?? {})\n',
    replace: '',
  },
  {
    bug: 'the part of a task of which nobody knows whether it was accepted comes back',
    file: `${TASK}/client/task-shares.ts`,
    find: 'const isRefused = signal?.aborted !== true && isRefusal(error)',
    replace: 'const isRefused = error !== signal',
  },
  {
    bug: 'a child has a part that its parent keeps',
    file: `${TASK}/worker/attempt-data.ts`,
    find: 'const share = shareFor(task.budget, budget)',
    replace:
      'const free = { amounts: { tokens: 1_000 } }\n  const of = budget && new (budget.constructor as new (allowance: object) => Slice)(free)\n  const share = shareFor(task.budget, of)',
  },
  {
    bug: 'what a child used comes back to its parent',
    file: 'protocols/budget/carried/budget-share.ts',
    find: 'this.#open.settle(spent)',
    replace: 'this.#open.settle(less(spent, spent))',
  },
  {
    bug: 'a task that is submitted again takes of the budget once more',
    file: `${TASK}/client/task-shares.ts`,
    find: 'if (known && (!isAgain || this.#watched.isWatched(id))) share.end(false)',
    replace: 'if (known && (!isAgain || this.#watched.isWatched(id))) share.end(true)',
  },
  {
    bug: 'more comes back of a part than it was given',
    file: 'protocols/budget/slice.ts',
    find: 'const back = limitedBy(this.#allowance, atMost(said, this.#left))',
    replace: 'const back = limitedBy(this.#allowance, this.#allowance)',
  },
]

export const TASK_MUTANTS: readonly Mutant[] = FOUND.map((mutant) => ({ ...mutant, scenario: 'tasks' }))
