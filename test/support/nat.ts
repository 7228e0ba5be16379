/**
 * A network behind NAT: one more namespace behind a place of namespaces-mesh.ts. It reaches the others by the address of
 * that place; nothing that others begin comes in, until a port is forwarded.
 *
 * State: the namespace, removed with those of the switch.
 */
import { execFileSync } from 'node:child_process'
import type { Place } from './namespaces-mesh.ts'

const rulesOf = (outside: string): string => `table ip nat {
  chain post { type nat hook postrouting priority 100; policy accept; oifname "${outside}" masquerade; }
  chain pre { type nat hook prerouting priority -100; policy accept; }
}
table ip wall {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct status dnat accept
    iifname "inside" accept
  }
}
`

const run = (command: readonly string[], input?: string): void => {
  const [name = '', ...args] = command
  execFileSync(name, args, { stdio: ['pipe', 'ignore', 'pipe'], ...(input !== undefined && { input }) })
}

export interface Hidden extends Pick<Place, 'address' | 'enter'> {
  /** The address that others see. */
  readonly outside: string
  /** From now on others reach this TCP port by the address outside. */
  forward(port: number): void
}

/** @param router a place with nothing in it; @param net a number of its own for each hidden network, 1 to 250 */
export const behindNat = (router: Place, net: number): Hidden => {
  const outer = router.enter.at(-1) ?? ''
  const name = `${outer}-in`
  const [gateway, address] = [`192.168.${net}.1`, `192.168.${net}.2`]
  run(['ip', 'netns', 'add', name])
  run(['ip', 'link', 'add', 'inside', 'netns', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name])
  run(['ip', '-n', outer, 'addr', 'add', `${gateway}/24`, 'dev', 'inside'])
  run(['ip', '-n', outer, 'link', 'set', 'inside', 'up'])
  run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
  run(['ip', '-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
  run(['ip', '-n', name, 'link', 'set', 'eth0', 'up'])
  run(['ip', '-n', name, 'route', 'add', 'default', 'via', gateway])
  run([...router.enter, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'])
  run([...router.enter, 'nft', '-f', '-'], rulesOf('eth0'))
  return {
    address,
    outside: router.address,
    enter: ['ip', 'netns', 'exec', name],
    forward: (port) =>
      run([...router.enter, 'nft', `add rule ip nat pre iifname "eth0" tcp dport ${port} dnat to ${address}:${port}`]),
  }
}
