/**
 * Tokens that simulated tasks may use, and what their functions really spent. Some attempts say that they give back what others
 * drew, ask for the same draw again, and leave out numbers; some submitters submit the same task once more.
 * Children get parts of what the attempts of their parents drew.
 * State: what each task asked for and spent, in all of its attempts.
 */
import { type Amounts, NO_AMOUNTS } from '../../../protocols/budget/amounts.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { SubmitTask } from '../../../protocols/task/client/task-api.ts'
import { spendTasks } from '../../../protocols/task/journal/task-kinds.ts'
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import type { TaskContext } from '../../../protocols/task/worker/task-context.ts'
import type { JournalNode } from '../../support/journal-mesh.ts'
import { childOf, PART_OF_ROOT, ROOT, tokenBudget } from './plan.ts'

/** Tokens of one draw. */
const MOST_DRAWN = 25
/** Of what its parent drew. */
const PART_OF_CHILD = 5
/** Of attempts, and of submissions. */
const CHEATS_SHARE = 0.05
const AGAIN_SHARE = 0.1
const DRAWS_SHARE = 0.5
const GREED = 1_000
const ASKED_TWICE = 5
const TOO_LATE = 1
const TOO_FAR = 9

/** As the ends of a task and of its child have them; of a child that there is not, or that was not seen, undefined. */
interface EndBudgets {
  readonly own: TaskRecord['budget']
  readonly child: TaskRecord['budget']
}

const leftOf = ({ budget }: SubmitTask): number => budget?.of?.remaining().tokens ?? 0

export class Spending {
  readonly counts = { draws: 0, exhausted: 0, cheats: 0, spent: 0, cameBack: 0, submittedAgain: 0, parts: 0 }
  /** What is wrong. */
  readonly problems: string[]
  readonly #random: () => number
  readonly #asked = new Map<string, number>()
  readonly #spent = new Map<string, number>()

  constructor(random: () => number, problems: string[]) {
    this.#random = random
    this.problems = problems
  }

  /** @returns whether this attempt spends nothing from here on */
  cheats({ journal }: JournalNode, id: string, { budget, fence }: TaskContext): boolean {
    if (budget === undefined || this.#random() >= CHEATS_SHARE) return false
    this.counts.cheats += 1
    this.#add(this.#asked, id, ASKED_TWICE)
    const draw = async (number: number, amounts: Amounts, back: Amounts = NO_AMOUNTS): Promise<void> => {
      await journal.submit(spendTasks, { changes: [{ do: 'draw', id, fence, number, amounts, back }] })
    }
    const all = async (): Promise<void> => {
      await draw(1, NO_AMOUNTS, { tokens: GREED })
      await draw(2, { tokens: ASKED_TWICE })
      await draw(2, { tokens: ASKED_TWICE })
      await draw(TOO_LATE, { tokens: ASKED_TWICE })
      await draw(TOO_FAR, { tokens: ASKED_TWICE })
    }
    all().catch(() => {})
    return true
  }

  /** Some are drawn, and some of those that are left are spent. */
  async some(id: string, ctx: TaskContext, most = MOST_DRAWN): Promise<void> {
    const { budget } = ctx
    if (budget === undefined) return
    await this.#draw(id, ctx, 1 + Math.floor(this.#random() * most)).catch((error: unknown) => {
      if (!isParleyError(error, 'COM003') || error.details.reason !== 'budget-exhausted') throw error
      this.counts.exhausted += 1
    })
    const spent = Math.floor(this.#random() * ((budget.remaining().tokens ?? 0) + 1))
    budget.spend({ tokens: spent })
    this.#add(this.#spent, id, spent)
    this.counts.spent += spent
  }

  /** What a child is submitted with: the same in each attempt. @throws COM003 `budget-exhausted` */
  async forChild(id: string, ctx: TaskContext): Promise<Pick<SubmitTask, 'budget'>> {
    if (ctx.budget === undefined) return {}
    // Drawn by the program, or by the submission, where the child is not there already.
    if (this.#random() < DRAWS_SHARE) await this.#draw(id, ctx, PART_OF_CHILD)
    else this.#add(this.#asked, id, PART_OF_CHILD)
    this.counts.parts += 1
    return { budget: { amounts: { tokens: PART_OF_CHILD } } }
  }

  /** What a child does with that. */
  async asChild(id: string, ctx: TaskContext): Promise<void> {
    await this.some(id, ctx, PART_OF_CHILD)
  }

  async #draw(id: string, ctx: TaskContext, tokens: number): Promise<void> {
    this.#add(this.#asked, id, tokens)
    await ctx.draw({ tokens })
    this.counts.draws += 1
  }

  /** The same once more, by who submitted it, is the same task, and takes nothing. */
  async again(submit: (task: SubmitTask) => Promise<unknown>, task: SubmitTask): Promise<void> {
    if (task.budget === undefined || this.#random() >= AGAIN_SHARE) return
    const same = { ...task, budget: tokenBudget() }
    await submit(same)
    this.counts.submittedAgain += 1
    if (leftOf(same) !== ROOT) this.problems.push(`${task.id} took ${ROOT - leftOf(same)} tokens once more`)
  }

  /** @param isHeard whoever submitted it lives on, and has heard of its end */
  judge(task: SubmitTask, ends: EndBudgets, isHeard: boolean): void {
    const wrong = this.#wrongEnd(task, ends, isHeard)
    if (wrong !== undefined) this.problems.push(`${task.id}: ${wrong}`)
  }

  #wrongEnd(task: SubmitTask, { own, child }: EndBudgets, isHeard: boolean): string | undefined {
    const { id = '' } = task
    if (task.budget === undefined) return own === undefined ? undefined : 'it has a budget that nobody gave it'
    const [used, ofChild] = [own?.used.tokens ?? 0, child?.used.tokens ?? 0]
    const [asked, spent, left] = [this.#asked.get(id) ?? 0, this.#spent.get(id) ?? 0, leftOf(task)]
    if (own?.amounts.tokens !== PART_OF_ROOT) return `it has a budget of ${own?.amounts.tokens} tokens`
    if (used > PART_OF_ROOT) return `it used ${used} tokens of ${PART_OF_ROOT}`
    if (spent + ofChild > used) return `it spent ${spent} tokens, its child used ${ofChild}, and ${used} count`
    const spentByChild = child === undefined ? 0 : (this.#spent.get(childOf(id)) ?? 0)
    if (spentByChild > ofChild) return `its child spent more than the ${ofChild} tokens that count`
    if (ofChild > PART_OF_CHILD) return `its child used ${ofChild} tokens of ${PART_OF_CHILD}`
    if (used > asked) return `it used ${used} tokens, and its attempts asked for ${asked}`
    if (left > ROOT - used) return `${left} tokens came back, and ${used} were used of ${ROOT}`
    if (!isHeard) return undefined
    if (left < ROOT - used) return `${left} tokens came back of ${ROOT - used}`
    this.counts.cameBack += 1
    return undefined
  }

  #add(to: Map<string, number>, id: string, tokens: number): void {
    to.set(id, (to.get(id) ?? 0) + tokens)
  }
}
