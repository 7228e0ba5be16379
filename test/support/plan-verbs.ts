/** Verbs of plans for peer-verbs.ts. State: what each has directed to refuse, and who did what. */
import type { Mesh } from '../../node/index.ts'

const refusing = new Set<string>()
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
  /** Ids of tasks that it did. */
  tasksDone: async (as: string, _: undefined) => done.get(as) ?? [],
  /** Refuses directives, or no more. */
  refuseDirectives: async (as: string, { refuses }: { refuses: boolean }) => {
    if (refusing.has(as) === refuses) return
    if (refuses) refusing.add(as)
    else refusing.delete(as)
    if (!refuses) return
    meshOf(as).plans.onDirective(() =>
      refusing.has(as) ? { error: 'directive_failed', reason: 'not now' } : undefined,
    )
  },
  /** Where it coordinates, plans that name `always` give all to this one. */
  chooseAlways: async (as: string, { agent }: { agent: string }) => {
    meshOf(as).plans.generator('always', ({ tasks }) => tasks.map(({ id }) => ({ task: id, agent })))
  },
})
