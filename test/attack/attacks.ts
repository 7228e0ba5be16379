/** The attacks that there are, in the order of issue 16, part A; then those of tasks. A new one is a file under attacks/ and a line here. */
import type { Attack } from './attack.ts'
import { besieged } from './attacks/besieged.ts'
import { budgetAttacks } from './attacks/budgets.ts'
import { coalitionAttacks } from './attacks/coalitions.ts'
import { coordination } from './attacks/coordination.ts'
import { greedy } from './attacks/greedy.ts'
import { hoarding } from './attacks/hoarding.ts'
import { memberships } from './attacks/memberships.ts'
import { passphrase } from './attacks/passphrase.ts'
import { planAttacks } from './attacks/plans.ts'
import { raft } from './attacks/raft.ts'
import { resourceAttacks } from './attacks/resources.ts'
import { scanner } from './attacks/scanner.ts'
import { strangers } from './attacks/strangers.ts'
import { bytesOfTasks } from './attacks/tasks/bytes.ts'
import { eventWaits } from './attacks/tasks/event-waits.ts'
import { floods } from './attacks/tasks/floods.ts'
import { hoarders } from './attacks/tasks/hoarders.ts'
import { impostors } from './attacks/tasks/impostors.ts'
import { schedules } from './attacks/tasks/schedules.ts'
import { strangersToTasks } from './attacks/tasks/strangers.ts'
import { waitAttacks } from './attacks/waits.ts'

export const ATTACKS: readonly Attack[] = [
  ...strangers,
  ...coordination,
  ...raft,
  besieged,
  ...memberships,
  ...greedy,
  ...hoarding,
  scanner,
  passphrase,
  ...impostors,
  ...floods,
  ...hoarders,
  ...schedules,
  ...eventWaits,
  ...bytesOfTasks,
  ...strangersToTasks,
  ...resourceAttacks,
  ...budgetAttacks,
  ...planAttacks,
  ...coalitionAttacks,
  ...waitAttacks,
]
