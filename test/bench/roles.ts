/** The roles of each suite, loaded in the process that plays one. */
import type { Roles } from './role.ts'

const loaders: Readonly<Record<string, (() => Promise<{ roles: Roles }>) | undefined>> = {
  cost: () => import('./suites/cost-roles.ts'),
  rpc: () => import('./suites/rpc-roles.ts'),
  events: () => import('./suites/events-roles.ts'),
  fanout: () => import('./suites/fanout-roles.ts'),
  bulk: () => import('./suites/bulk-roles.ts'),
  join: () => import('./suites/join-roles.ts'),
  scale: () => import('./suites/scale-roles.ts'),
  journal: () => import('./suites/journal-roles.ts'),
  tasks: () => import('./suites/tasks-roles.ts'),
  durable: () => import('./suites/durable-roles.ts'),
  collections: () => import('./suites/collections-roles.ts'),
  'many-tasks': () => import('./suites/many-tasks-roles.ts'),
  coordination: () => import('./suites/coordination-roles.ts'),
  store: () => import('./suites/store-roles.ts'),
  failover: () => import('./suites/journal-roles.ts'),
}

export const rolesOf = async (suite: string): Promise<Roles | undefined> => (await loaders[suite]?.())?.roles
