/** Verbs of plans for peer-verbs.ts. State: what each has directed to refuse, and who did what. */
import type { Mesh, Registration } from '../../node/index.ts'

const refusing = new Map<string, Registration>()
const done = new Map<string, string[]>()

export const planVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Takes tasks of this type, so many at once, each for so long; tells who did it. */
  workFor: async (as: string, { type, slots, ms }: { type: string; slots: number; ms: number }) => {
    const { tasks, self } = meshOf(as)
    await tasks.work(
      type,
      async ({ id }, { signal }) => {
        await new Promise((resolve) => setTimeout(resolve, ms))
        signal.throwIfAborted()
        done.set(as, [...(done.get(as) ?? []), id])
        return self.id
      },
      { slots },
    )
  },
  /** Takes tasks of this type, and fails at each. */
  failAt: async (as: string, { type, slots }: { type: string; slots: number }) => {
    const fail = (): never => {
      throw new Error('this agent is broken')
    }
    await meshOf(as).tasks.work(type, fail, { slots })
  },
  /** Takes tasks `whole`, whose work is a plan of so many tasks of this type. */
  workWhole: async (as: string, { type, parts }: { type: string; parts: number }) => {
    const { plans, tasks } = meshOf(as)
    await tasks.work('whole', async ({ id }, { signal }) => {
      const plan = await plans.make({
        ...{ id: `${id}-plan`, parent: id, goal: 'all parts of it', signal },
        tasks: Array.from({ length: parts }, () => ({ type })),
      })
      return Promise.all(plan.tasks.map((task) => task.result({ signal })))
    })
  },
  /** Ids of tasks that it did. */
  tasksDone: async (as: string, _: undefined) => done.get(as) ?? [],
  /** Refuses directives, or no more. */
  refuseDirectives: async (as: string, { refuses }: { refuses: boolean }) => {
    await refusing.get(as)?.stop()
    refusing.delete(as)
    if (!refuses) return
    const { plans } = meshOf(as)
    refusing.set(
      as,
      plans.onDirective(() => ({ error: 'directive_failed', reason: 'not now' })),
    )
  },
  /** Where it coordinates, plans that name `always` give all to this one. */
  chooseAlways: async (as: string, { agent }: { agent: string }) => {
    meshOf(as).plans.generator('always', ({ tasks }) => tasks.map(({ id }) => ({ task: id, agent })))
  },
  /** Where it coordinates, plans that name `adjusting` have each agent give so many units of it, and give all to the first one. */
  adjustAlways: async (as: string, { resource, units }: { resource: string; units: number }) => {
    meshOf(as).plans.generator('adjusting', ({ tasks, agents }) => {
      const adjustments = agents.flatMap(({ agent, capacity }) => {
        const change = units - (capacity[resource] ?? 0)
        return change === 0 ? [] : [{ agent, resource, change }]
      })
      return { chosen: tasks.map(({ id }) => ({ task: id, agent: agents[0]?.agent ?? '' })), adjustments }
    })
  },
})
