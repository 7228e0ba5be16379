/** What the control socket has a node show: its outbox, an agent or a protocol, resources, plans, coalitions, and all that a live table has. */
import type * as z from 'zod'
import { resolveTarget } from '../../../discovery/directory/find-agent.ts'
import type { BudgetState, BudgetTree } from '../../../protocols/budget/api.ts'
import type { PlanStatus } from '../../../protocols/coordination/api.ts'
import type { CoalitionStatus } from '../../../protocols/coordination/coalition/coalition-api.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import { nearestName } from '../../../protocols/unknown-keys.ts'
import type { Mesh } from '../../api.ts'
import type { DebugSource } from '../../observe/debug/debug-schemas.ts'
import { definedOnly } from '../../observe/debug/sources/message-view.ts'
import type * as budgetSchemas from '../budget-schemas.ts'
import type * as coalitionSchemas from '../coalition-schemas.ts'
import type * as schemas from '../control-schemas.ts'
import { NO_AGENT } from '../control-schemas.ts'
import type * as planSchemas from '../plan-schemas.ts'
import type * as resourceSchemas from '../resource-schemas.ts'

/** Topics in a live table. */
const MAX_TOPICS = 100
const MAX_NAMES = 20

export const outbox = async (
  { messages, directory }: Pick<Mesh, 'messages' | 'directory'>,
  { limit, after }: z.output<typeof schemas.OutboxQuerySchema>,
): Promise<z.input<typeof schemas.OutboxSchema>> => {
  const entries = await messages.outbox({ limit, ...(after !== undefined && { after }) })
  const figures = messages.figures()
  return {
    messages: figures.outbox,
    bytes: figures.outboxBytes,
    entries: entries.map((entry) => ({ ...definedOnly(entry), name: directory.get(entry.destination)?.name ?? '' })),
  }
}

/** An agent by its name or id, else a protocol with all that offer it. @throws STA001, STA003 where a name is not enough */
export const describe = (
  { directory }: Pick<Mesh, 'directory'>,
  views: Pick<DebugSource, 'agent'>,
  { what }: z.output<typeof schemas.DescribeQuerySchema>,
): z.input<typeof schemas.DescribedSchema> => {
  const agents = directory.agents()
  const detailsOf = (peer: string) => views.agent(peer) ?? []
  const named = directory.find(what)
  if (named !== undefined) return { kind: 'agent', agents: [detailsOf(named.peer)].flat() }
  const offering = agents.filter(({ record }) => record.protocols.some(({ name }) => name === what))
  if (offering.length > 0) {
    const shown = offering.flatMap(({ peer }) => detailsOf(peer))
    return {
      kind: 'protocol',
      agents: shown.map((agent) => ({ ...agent, protocols: agent.protocols.filter(({ name }) => name === what) })),
    }
  }
  const names = [...new Set(agents.flatMap(({ name, record }) => [name, ...record.protocols.map((one) => one.name)]))]
  const guess = nearestName(what, names)
  throw new ParleyError('STA001', `no agent and no protocol is called ${JSON.stringify(what)}`, {
    hint: guess === undefined ? `there is ${names.slice(0, MAX_NAMES).join(', ')}` : `did you mean ${guess}?`,
    details: { reason: NO_AGENT },
  })
}

export const showResources = async (
  { resources }: Pick<Mesh, 'resources'>,
  options: z.output<typeof resourceSchemas.ResourcesQuerySchema>,
): Promise<z.input<typeof resourceSchemas.ResourcesShownSchema>> => ({ resources: await resources.status(options) })

export const showAllocations = async (
  { resources }: Pick<Mesh, 'resources'>,
  options: z.output<typeof resourceSchemas.ResourcesQuerySchema>,
): Promise<z.input<typeof resourceSchemas.AllocationsShownSchema>> => ({
  allocations: (await resources.list(options)).map(({ parts, ...one }) => ({ ...one, parts: [...parts] })),
})

/** JSON has no undefined, and the socket's schema no read-only lists. */
const shownBudget = ({ limits, ...one }: BudgetState): z.input<typeof budgetSchemas.BudgetShownSchema> => ({
  ...one,
  limits: { ...limits },
})

export const showBudgets = async (
  { budgets }: Pick<Mesh, 'budgets'>,
  options: z.output<typeof budgetSchemas.BudgetsQuerySchema>,
): Promise<z.input<typeof budgetSchemas.BudgetsShownSchema>> => ({
  budgets: (await budgets.list(options)).map(shownBudget),
})

export const showBudgetTree = async (
  { budgets }: Pick<Mesh, 'budgets'>,
  { id, timeoutMs }: z.output<typeof budgetSchemas.BudgetTreeQuerySchema>,
): Promise<z.input<typeof budgetSchemas.BudgetTreeShownSchema>> => {
  const listed = (
    { loans, ...one }: BudgetTree,
    depth: number,
  ): z.input<typeof budgetSchemas.BudgetTreeShownSchema>['budgets'] => [
    { ...shownBudget(one), depth },
    ...loans.flatMap((loan) => listed(loan, depth + 1)),
  ]
  return { budgets: listed(await budgets.tree(id, { timeoutMs }), 0) }
}

type PlanShown = z.input<typeof planSchemas.PlanShownSchema>

const planShown = ({ tasks, assignments, offline, moves, ...plan }: PlanStatus): PlanShown => ({
  ...definedOnly(plan),
  tasks: [...tasks],
  assignments: [...assignments],
  offline: [...offline],
  moves: [...moves],
})

export const listPlans = async (
  { plans }: Pick<Mesh, 'plans'>,
  options: z.output<typeof planSchemas.PlansQuerySchema>,
): Promise<z.input<typeof planSchemas.PlansShownSchema>> => ({ plans: (await plans.list(options)).map(planShown) })

/** @throws STA001 */
export const showPlan = async (
  { plans }: Pick<Mesh, 'plans'>,
  { id, ...options }: z.output<typeof planSchemas.PlanQuerySchema>,
): Promise<PlanShown> => planShown(await (await plans.get(id, options)).status(options))

/** @throws as `mesh.plans.make` does */
export const makePlan = async (
  { plans }: Pick<Mesh, 'plans'>,
  { inputs, type, id, goal, timeoutMs }: z.output<typeof planSchemas.MakePlanSchema>,
): Promise<PlanShown> => {
  const tasks = inputs.map((input) => ({ type, input: input as Json }))
  const plan = await plans.make({ goal, tasks, timeoutMs, ...(id !== undefined && { id }) })
  return planShown(await plan.status({ timeoutMs }))
}

/** @throws STA001, STA003 `ended`, SEC002 for a plan of another node */
export const cancelPlan = async (
  { plans }: Pick<Mesh, 'plans'>,
  { id, reason, ...options }: z.output<typeof planSchemas.CancelPlanSchema>,
): Promise<PlanShown> => {
  const plan = await plans.get(id, options)
  await plan.cancel(reason)
  return planShown(await plan.status(options))
}

type CoalitionShown = z.input<typeof coalitionSchemas.CoalitionShownSchema>

const coalitionShown = ({ members, ...coalition }: CoalitionStatus): CoalitionShown => ({
  ...definedOnly(coalition),
  members: [...members],
})

export const listCoalitions = async (
  { coalitions }: Pick<Mesh, 'coalitions'>,
  options: z.output<typeof coalitionSchemas.CoalitionsQuerySchema>,
): Promise<z.input<typeof coalitionSchemas.CoalitionsShownSchema>> => ({
  coalitions: (await coalitions.list(options)).map(coalitionShown),
})

/** @throws as `mesh.coalitions.form` does; COM002, STA003 for a name that is not enough */
export const formCoalition = async (
  { coalitions, directory }: Pick<Mesh, 'coalitions' | 'directory'>,
  { id, leader, members, minMembers, ...what }: z.output<typeof coalitionSchemas.FormCoalitionSchema>,
): Promise<CoalitionShown> => {
  const peerOf = (agent: string): string => resolveTarget(directory.agents, agent, 'coalitions.form()')
  const formed = await coalitions.form({
    ...{ ...what, members: members.map(peerOf) },
    ...(id !== undefined && { id }),
    ...(leader !== undefined && { leader: peerOf(leader) }),
    ...(minMembers !== undefined && { minMembers }),
  })
  return coalitionShown(formed)
}

type CoalitionEnded = z.input<typeof coalitionSchemas.CoalitionEndedSchema>

/** @throws as `mesh.coalitions.leave` does */
export const leaveCoalition = async (
  { coalitions }: Pick<Mesh, 'coalitions'>,
  { id }: z.output<typeof coalitionSchemas.LeaveCoalitionSchema>,
): Promise<CoalitionEnded> => {
  await coalitions.leave(id)
  return { id }
}

/** @throws as `mesh.coalitions.dissolve` does */
export const dissolveCoalition = async (
  { coalitions }: Pick<Mesh, 'coalitions'>,
  { id, reason }: z.output<typeof coalitionSchemas.DissolveCoalitionSchema>,
): Promise<CoalitionEnded> => {
  await coalitions.dissolve(id, reason)
  return { id }
}

/** Counters are whole since the start: whoever looks twice has the rates. */
export const topView = (
  { events, figures, coordinator, directory }: Pick<Mesh, 'events' | 'figures' | 'coordinator' | 'directory'>,
  views: DebugSource,
): z.input<typeof schemas.TopSchema> => {
  const counts = new Map(events.topics().map((topic) => [topic.topic, topic]))
  const topics = views
    .topics()
    .map((topic) => {
      const { published = 0, received = 0 } = counts.get(topic.name) ?? {}
      return { ...topic, published, received }
    })
    .sort((a, b) => b.published + b.received - a.published - a.received)
    .slice(0, MAX_TOPICS)
  const status = coordinator.status()
  const name = status.leader === undefined ? undefined : directory.get(status.leader)?.name
  const { links, active, queued } = figures()
  const { outbox, received, inbox, deadLetters } = views.messages.delivery()
  return {
    at: Date.now(),
    monotonicMs: performance.now(),
    self: views.self(),
    readiness: views.readiness(),
    peers: views.peers(),
    agents: views.agents(),
    topics,
    coordinator: {
      epoch: status.epoch,
      quorum: status.quorum,
      voters: status.voters.length,
      seat: status.role,
      ...(status.leader !== undefined && { id: status.leader }),
      ...(name !== undefined && { name }),
    },
    frames: { in: links.framesIn, out: links.framesOut, bytesIn: links.bytesIn, bytesOut: links.bytesOut },
    requests: { active, queued },
    delivery: {
      outbox: outbox.messages,
      held: received.held,
      inbox: inbox.messages,
      deadLetters: deadLetters.messages,
    },
  }
}
