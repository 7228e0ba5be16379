/** The suites that exist. A new one is a file under suites/, its roles in roles.ts, and one line here. */
import type { Suite } from './suite.ts'
import { bulk } from './suites/bulk.ts'
import { collections } from './suites/collections.ts'
import { coordination } from './suites/coordination.ts'
import { cost } from './suites/cost.ts'
import { durable } from './suites/durable.ts'
import { events } from './suites/events.ts'
import { failover } from './suites/failover.ts'
import { fanout } from './suites/fanout.ts'
import { join } from './suites/join.ts'
import { journal } from './suites/journal.ts'
import { manyTasks } from './suites/many-tasks.ts'
import { rpc } from './suites/rpc.ts'
import { scale } from './suites/scale.ts'
import { store } from './suites/store.ts'
import { tasks } from './suites/tasks.ts'

export const suites: ReadonlyMap<string, Suite> = new Map(
  [
    ...[rpc, events, fanout, bulk, join, scale, journal, failover, durable],
    ...[tasks, manyTasks, coordination, store, collections, cost],
  ].map((suite) => [suite.name, suite]),
)
