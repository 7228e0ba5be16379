/** The parts that every node has, in the order in which they start where their needs leave a choice; plans are in plan-parts.ts. */
import { BUDGET_FIGURES } from '../../protocols/budget/budget-figures.ts'
import type { BudgetsFeature } from '../../protocols/budget/budgets.ts'
import { budgetProtocol } from '../../protocols/budget/contract.ts'
import { budgetJournal } from '../../protocols/budget/journal/budget-kinds.ts'
import { definePart } from '../../protocols/define-part.ts'
import type { Notifications } from '../../protocols/notification/notifications.ts'
import { answers, implementPart, type Loading } from '../../protocols/part.ts'
import { resourceProtocol } from '../../protocols/resource/contract.ts'
import { resourceJournal } from '../../protocols/resource/journal/resource-kinds.ts'
import { ResourceOptions } from '../../protocols/resource/options.ts'
import { RESOURCE_FIGURES } from '../../protocols/resource/resource-figures.ts'
import type { ResourcesFeature } from '../../protocols/resource/resources.ts'
import { taskBytesProtocol } from '../../protocols/task/bytes/bytes-contract.ts'
import { taskProtocol } from '../../protocols/task/contract.ts'
import { taskJournal } from '../../protocols/task/journal/task-kinds.ts'
import { TaskOptions } from '../../protocols/task/options.ts'
import { TASK_FIGURES } from '../../protocols/task/task-figures.ts'
import type { TasksFeature } from '../../protocols/task/tasks.ts'
import { tokens } from '../../protocols/tokens.ts'
import type { Coordination } from '../coordination/api.ts'
import { looksForOthers } from '../options/discovery-options.ts'
import { detectedBy } from './detected.ts'
import { journalMember, nodeTokens, resourcesForPlans, taskResources, tasksForPlans } from './node-tokens.ts'

const { startup, network, directory, decisions, ownEvents, presence, quota, calls } = nodeTokens

export const coordination = definePart({
  name: 'coordination',
  description: 'Who coordinates, and what the mesh has agreed on.',
  needs: { startup, network, directory, decisions, events: ownEvents },
  provides: { journal: tokens.journal, coordinator: tokens.coordinator, fences: tokens.fences, journalMember },
  activate: 'start',
  load: async (): Loading<Coordination> => {
    const [{ startCoordination }, { exposeCoordination }] = await Promise.all([
      import('../coordination/coordination.ts'),
      import('../coordination/coordination-metrics.ts'),
    ])
    return {
      default: implementPart<typeof coordination>({
        async start({ startup, network, directory, decisions, events, ...port }) {
          const { options, known, log, metrics } = startup
          /** Neighbours that have not heard of the mesh id are told, and those of another founded mesh are parted from. */
          const tellMeshId = (): void => {
            for (const { chosen } of network.peers.all())
              network.admission
                .renew(chosen)
                .catch((error: unknown) => log.info('a neighbour was not told the mesh id', { error }))
          }
          const api = await startCoordination({
            port,
            events,
            dataDir: options.dataDir,
            joins: looksForOthers(options) || network.localOthers > 0,
            settings: options.coordination,
            parts: decisions,
            known,
            onGone: (fn) => directory.onChange(({ type, agent }) => type === 'left' && fn(agent.peer)).stop,
            founded: tellMeshId,
          })
          network.extensions.giveBelonging(api)
          // Who was admitted before has not been told.
          if (api.meshId() !== undefined) tellMeshId()
          exposeCoordination(metrics, api)
          const readiness = () => ({ reasons: api.problems(), degraded: api.degraded() })
          return { api, readiness, stop: api.stop }
        },
      }),
    }
  },
})

export const notifications = definePart({
  name: 'notifications',
  description: 'What the coordinator tells everybody, and who believes it.',
  needs: { events: ownEvents, coordinator: tokens.coordinator },
  activate: 'start',
  load: async (): Loading<Notifications> => {
    const { createNotifications } = await import('../../protocols/notification/notifications.ts')
    return {
      default: implementPart<typeof notifications>({
        start({ events, coordinator, ...port }) {
          const { stop, ...api } = createNotifications({ port, events, ...coordinator })
          return { api, stop }
        },
      }),
    }
  },
})

/** The method was looked up in the contract that the client is of. */
const callBy = (client: object, method: string, input: unknown, options: object): Promise<unknown> =>
  (Reflect.get(client, method) as (input: unknown, options: object) => Promise<unknown>)(input, options)

export const tasks = definePart({
  name: 'tasks',
  description: 'Work that is done once, although whoever wants it, does it or coordinates it may die.',
  needs: {
    ...{ journal: tokens.journal, coordinator: tokens.coordinator, events: ownEvents },
    ...{ startup, presence, journalMember, quota, calls, resources: taskResources },
  },
  provides: { forPlans: tasksForPlans },
  options: TaskOptions,
  protocols: [taskProtocol, taskBytesProtocol],
  journal: taskJournal,
  figures: TASK_FIGURES,
  views: {
    board: { title: 'Board', form: 'board', opens: 'timeline' },
    timeline: { title: 'Timeline', form: 'timeline', of: 'task', opens: 'timeline' },
    open: { title: 'Open tasks', form: 'table' },
  },
  activate: 'start',
  load: async (): Loading<TasksFeature> => {
    const [{ createTasks }, { createTaskBytes }] = await Promise.all([
      import('../../protocols/task/tasks.ts'),
      import('../store/bytes/held-bytes-store.ts'),
    ])
    return {
      default: implementPart<typeof tasks>({
        async start(
          { journal, coordinator, events, presence, journalMember, startup, quota, calls, resources, ...port },
          { retainMs, holderAwayMs },
        ) {
          const { presenceOf, onPresence } = detectedBy(presence)
          const { dataDir } = startup.options
          // Who leaves is asked to hold nothing more, and what it holds is looked after as if it were gone.
          const holding = (is: ReturnType<typeof presenceOf>) => (is === 'left' ? 'gone' : is)
          const bytes = await createTaskBytes({
            ...{ port, journal, coordinator, quota, dataDir, awayMs: holderAwayMs },
            presenceOf: (peer) => holding(presenceOf(peer)),
            onPresence: (fn) => onPresence((peer, is) => fn(peer, holding(is))),
          })
          const api = createTasks({
            ...{
              port,
              journal,
              coordinator,
              events,
              retainMs,
              presenceOf,
              onPresence,
              bytes,
              member: journalMember,
              resources,
            },
            call: (to, protocol, method, input, options) =>
              callBy(to === undefined ? calls.any(protocol) : calls.to(to, protocol), method, input, options),
          })
          return {
            api,
            handlers: [answers(taskProtocol, api.handlers), answers(taskBytesProtocol, bytes.handlers)],
            figures: () => api.figures(),
            views: {
              board: () => api.board(),
              timeline: (id) => api.timeline(id),
              open: () => api.table(),
            },
            drain: (leftMs) => api.drain(leftMs),
            stop: () => api.stop(),
            disk: { bytes: () => bytes.bytes() },
          }
        },
      }),
    }
  },
})

export const resources = definePart({
  name: 'resources',
  description: 'What nodes have to give, and who has been given what of it: never more than there is.',
  needs: { journal: tokens.journal, coordinator: tokens.coordinator, events: ownEvents, journalMember },
  provides: { forTasks: taskResources, forPlans: resourcesForPlans },
  options: ResourceOptions,
  protocols: [resourceProtocol],
  journal: resourceJournal,
  figures: RESOURCE_FIGURES,
  views: {
    nodes: { title: 'Resources', form: 'table' },
    allocations: { title: 'Allocations', form: 'table' },
  },
  activate: 'start',
  load: async (): Loading<ResourcesFeature> => {
    const { createResources } = await import('../../protocols/resource/resources.ts')
    return {
      default: implementPart<typeof resources>({
        start({ journal, coordinator, events, journalMember: member, ...port }, { capacity }) {
          const api = createResources({ port, journal, coordinator, events, member })
          if (Object.keys(capacity).length > 0)
            api
              .offer(capacity)
              .catch((error: unknown) => port.log.warn('the capacity of this node was not offered', { error }))
          return {
            api,
            handlers: [answers(resourceProtocol, api.handlers)],
            figures: () => api.figures(),
            views: { nodes: () => api.nodesTable(), allocations: () => api.allocationsTable() },
            stop: () => api.stop(),
          }
        },
      }),
    }
  },
})

export const budgets = definePart({
  name: 'budgets',
  description: 'What work may use up: nobody spends more of it than there is, whoever is lost.',
  needs: { journal: tokens.journal, coordinator: tokens.coordinator, journalMember },
  protocols: [budgetProtocol],
  journal: budgetJournal,
  figures: BUDGET_FIGURES,
  views: {
    budgets: { title: 'Budgets', form: 'table' },
    tree: { title: 'Budget trees', form: 'graph' },
  },
  activate: 'start',
  load: async (): Loading<BudgetsFeature> => {
    const { createBudgets } = await import('../../protocols/budget/budgets.ts')
    return {
      default: implementPart<typeof budgets>({
        start({ journal, coordinator, journalMember: member, ...port }) {
          const api = createBudgets({ port, journal, coordinator, member })
          return {
            api,
            handlers: [answers(budgetProtocol, api.handlers)],
            figures: () => api.figures(),
            views: { budgets: () => api.table(), tree: () => api.graph() },
            stop: () => api.stop(),
          }
        },
      }),
    }
  },
})
