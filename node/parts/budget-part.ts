/** The part of budgets, as built-in.ts lists it. */
import { BUDGET_FIGURES } from '../../protocols/budget/budget-figures.ts'
import type { BudgetsFeature } from '../../protocols/budget/budgets.ts'
import { budgetProtocol } from '../../protocols/budget/contract.ts'
import { budgetJournal } from '../../protocols/budget/journal/budget-kinds.ts'
import { definePart } from '../../protocols/define-part.ts'
import { answers, implementPart, type Loading } from '../../protocols/part.ts'
import { tokens } from '../../protocols/tokens.ts'
import { journalMember } from './node-tokens.ts'

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
