/** Verbs of coalitions for peer-verbs.ts. State: what the program of each was told, and whether it agrees. */
import type { CoalitionNews, Mesh } from '../../node/index.ts'

const told = new Map<string, CoalitionNews[]>()
const refusing = new Set<string>()

export const coalitionVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Takes part in coalitions from now on. */
  joinCoalitions: async (as: string, _: undefined) => {
    meshOf(as).coalitions.onCoalition((news) => {
      told.set(as, [...(told.get(as) ?? []), news])
      return refusing.has(as) ? { error: 'directive_failed', reason: 'no time' } : undefined
    })
  },
  refuseCoalitions: async (as: string, { refuses }: { refuses: boolean }) => {
    if (refuses) refusing.add(as)
    else refusing.delete(as)
  },
  /** What its program was told of it, the newest last, and whether it is in it. */
  coalitionTold: async (as: string, { id }: { id: string }) => ({
    news: (told.get(as) ?? []).filter((one) => one.id === id),
    isIn: meshOf(as).coalitions.isIn(id),
  }),
  leaveCoalition: async (as: string, { id }: { id: string }) => meshOf(as).coalitions.leave(id),
  dissolveCoalition: async (as: string, { id }: { id: string }) => meshOf(as).coalitions.dissolve(id),
})
