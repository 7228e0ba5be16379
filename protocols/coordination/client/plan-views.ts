/** Plans for people: a table of all, and what happened to one. */
import type { TableData, TimelineData, TimelineEntry } from '../../part.ts'
import type { PlanStatus } from '../api.ts'

export const plansTable = (plans: readonly PlanStatus[]): TableData => ({
  columns: ['plan', 'state', 'goal', 'tasks', 'agents', 'revision', 'reason'],
  rows: plans.map(({ id, state, outcome, goal, tasks, assignments, revision, reason }) => [
    ...[id, outcome ?? state, goal.slice(0, 80), tasks.length],
    ...[new Set(assignments.map(({ agent }) => agent)).size, revision, reason ?? ''],
  ]),
})

/** Its moves, and who has which task now. */
export const planTimeline = (plan: PlanStatus): TimelineData => {
  const { moves, assignments, changedAt, madeAt, owner, goal } = plan
  const made: TimelineEntry = { at: madeAt, text: `made: ${goal.slice(0, 200)}`, lane: 'plan', peer: owner }
  const moved = moves.map(({ at, trigger, state, epoch, reason }): TimelineEntry => {
    const why = reason === undefined ? '' : `: ${reason}`
    return { at, text: `${trigger} → ${state} in epoch ${epoch}${why}`, lane: 'plan' }
  })
  const assigned = assignments.map(({ task, agent }): TimelineEntry => {
    return { at: changedAt, text: task, lane: 'assignments', peer: agent, id: task }
  })
  return { entries: [made, ...moved, ...assigned] }
}
