/** What the control socket does about plans: shows them, and cancels those of this node. */
import type * as z from 'zod'
import type { PlanStatus } from '../../../protocols/coordination/api.ts'
import type { Mesh } from '../../api.ts'
import { definedOnly } from '../../observe/debug/sources/message-view.ts'
import type * as schemas from '../plan-schemas.ts'

type Shown = z.input<typeof schemas.PlanShownSchema>

const shown = ({ tasks, assignments, offline, moves, ...plan }: PlanStatus): Shown => ({
  ...definedOnly(plan),
  tasks: [...tasks],
  assignments: [...assignments],
  offline: [...offline],
  moves: [...moves],
})

export const listPlans = async (
  { plans }: Pick<Mesh, 'plans'>,
  options: z.output<typeof schemas.PlansQuerySchema>,
): Promise<z.input<typeof schemas.PlansShownSchema>> => ({ plans: (await plans.list(options)).map(shown) })

/** @throws STA001 */
export const showPlan = async (
  { plans }: Pick<Mesh, 'plans'>,
  { id, ...options }: z.output<typeof schemas.PlanQuerySchema>,
): Promise<Shown> => shown(await (await plans.get(id, options)).status(options))

/** @throws STA001, STA003 `ended`, SEC002 for a plan of another node */
export const cancelPlan = async (
  { plans }: Pick<Mesh, 'plans'>,
  { id, reason, ...options }: z.output<typeof schemas.CancelPlanSchema>,
): Promise<Shown> => {
  const plan = await plans.get(id, options)
  await plan.cancel(reason)
  return shown(await plan.status(options))
}
