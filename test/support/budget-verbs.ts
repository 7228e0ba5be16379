/** Verbs of budgets for peer-verbs.ts. State: budgets that are held and draws that are open, by mesh. */
import type { Amounts, Budget, Draw, Mesh } from '../../node/index.ts'

interface Known {
  readonly held: Map<string, Budget>
  readonly draws: Draw[]
}

const all = new Map<string, Known>()
const knownOf = (as: string): Known => {
  const known = all.get(as) ?? { held: new Map(), draws: [] }
  all.set(as, known)
  return known
}

const heldBy = (as: string, id: string): Budget => {
  const held = knownOf(as).held.get(id)
  if (held === undefined) throw new Error(`${as} has not taken ${id}`)
  return held
}

export const budgetVerbs = (meshOf: (as: string) => Mesh) => ({
  /** Takes each loan that it is offered from now on. */
  takeLoans: async (as: string, _: undefined) => {
    const { budgets } = meshOf(as)
    budgets.onLoan(({ id }) => {
      budgets.get(id).then((budget) => knownOf(as).held.set(id, budget), console.error)
    })
  },
  /** Ids of what it took, and which of it can still be drawn from. */
  heldBudgets: async (as: string, _: undefined) =>
    [...knownOf(as).held.values()].map(({ id, signal }) => ({ id, isOver: signal.aborted })),
  /** @returns what is left of the draw */
  drawAndSpend: async (as: string, { id, draw, spend }: { id: string; draw: Amounts; spend: Amounts }) => {
    const drawn = await heldBy(as, id).draw(draw)
    knownOf(as).draws.push(drawn)
    drawn.slice.spend(spend)
    return drawn.slice.remaining()
  },
  settleDraws: async (as: string, _: undefined) => {
    await Promise.all(
      knownOf(as)
        .draws.splice(0)
        .map((draw) => draw.settle()),
    )
  },
  /** @returns its id */
  lendOn: async (as: string, { id, to, amounts }: { id: string; to: string; amounts: Amounts }) =>
    (await heldBy(as, id).lend(to, amounts)).id,
})
