/** Deliberate bugs of plans, for the scenario of that name. */
import type { Mutant } from './mutant.ts'

const COORDINATION = 'protocols/coordination'
const TASK = 'protocols/task'

const BUGS: readonly Omit<Mutant, 'scenario'>[] = [
  {
    bug: 'what is over is moved',
    file: `${COORDINATION}/journal/plan-ledger.ts`,
    find: 'if (found.outcome === undefined) return found',
    replace: 'if (found.goal !== undefined) return found',
  },
  {
    bug: 'a task of a plan is placed where it was chosen for before',
    file: `${TASK}/journal/coordinator-changes.ts`,
    find: '  if (record.plan !== undefined && record.assignee !== worker) throw changed(id)\n',
    replace: '',
  },
  {
    bug: 'agents get tasks although one has refused',
    file: `${COORDINATION}/runner/plan-director.ts`,
    find: '    if (failed !== undefined) return failed\n',
    replace: '',
  },
  {
    bug: 'a directive says something else after a while',
    file: `${COORDINATION}/runner/plan-maker.ts`,
    find: 'return known?.agent === agent && has.get(task) === agent\n        ? known\n',
    replace: 'return known !== undefined\n        ? { ...known, agent }\n',
  },
  {
    bug: 'what waits at who is gone, or has no room, stays there',
    file: `${COORDINATION}/runner/plan-watch.ts`,
    find: 'return this.#goneAgents(plan, held) ?? this.#moveOf(id, plan, held, open.length) ??',
    replace: 'return (held.length > 99 ? this.#goneAgents(plan, held) : undefined) ??',
  },
  {
    bug: 'a new coordinator does not read the plans that there are',
    file: `${COORDINATION}/runner/plan-runner.ts`,
    find: '    this.#load(plans)\n    try {',
    replace: '    try {',
  },
  {
    bug: 'a plan whose tasks have ended goes on',
    file: `${COORDINATION}/runner/plan-watch.ts`,
    find: 'if (open.length === 0) return outcomeOf(plan, ended)',
    replace: '',
  },
  {
    bug: 'a plan in error is not tried again',
    file: `${COORDINATION}/runner/plan-driver.ts`,
    find: "    await this.#move(plan, { do: 'retry_coordination' })\n",
    replace: '    await this.#untilNews(LOOK_MS)\n',
  },
  {
    bug: 'anybody goes on with the plan of a task',
    file: `${COORDINATION}/journal/apply-plans.ts`,
    find: 'return above?.record.worker === by && ',
    replace: 'return above !== undefined && ',
  },
  {
    bug: 'the next attempt cannot go on with its plan',
    file: `${COORDINATION}/journal/apply-plans.ts`,
    find: 'return above?.record.worker === by && ',
    replace: 'return above?.id === by && ',
  },
  {
    bug: 'tasks draw more than their plan has',
    file: `${COORDINATION}/journal/plan-budgets.ts`,
    find: 'less(amounts, before), drawn)',
    replace: 'amounts, drawn)',
  },
  {
    bug: 'what an attempt had drawn is there again once it is lost',
    file: `${COORDINATION}/journal/plan-budgets.ts`,
    find: 'less(used, returned)',
    replace: 'less(used, last === undefined ? (tasks.find((one) => one.task === task)?.open ?? {}) : returned)',
  },
  {
    bug: 'an attempt gives back nothing of its plan',
    file: `${COORDINATION}/journal/plan-budgets.ts`,
    find: 'less(used, returned)',
    replace: 'used',
  },
  {
    bug: 'what was used of a plan is forgotten once it is over',
    file: `${COORDINATION}/journal/plan-ledger.ts`,
    find: 'used: this.budget(id).used }',
    replace: 'used: {} }',
  },
  {
    bug: 'who made a plan gets more back than its tasks left',
    file: `${COORDINATION}/client/plan-shares.ts`,
    find: 'share.ended(budget?.left)',
    replace: 'share.ended(budget?.amounts)',
  },
]

export const PLAN_MUTANTS: readonly Mutant[] = BUGS.map((bug) => ({ ...bug, scenario: 'plans' }))
