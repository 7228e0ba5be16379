/** The roles of each suite, loaded in the process that plays one. */
import type { Roles } from './role.ts'

const loaders: Readonly<Record<string, (() => Promise<{ roles: Roles }>) | undefined>> = {
  rpc: () => import('./suites/rpc-roles.ts'),
  events: () => import('./suites/events-roles.ts'),
}

export const rolesOf = async (suite: string): Promise<Roles | undefined> => (await loaders[suite]?.())?.roles
