import { HypervueError } from '../util/errors.ts';

export interface ServiceOptions {
  /** Absolute path of the Node that runs it, and of the program. */
  node: string;
  cli: string;
  host: string;
  port: number;
  tls: boolean;
  /** User of a service of the whole system; undefined for one of a user's own. */
  user?: string | undefined;
  /** Folder of everything, when it is not the usual places. */
  home?: string | undefined;
}

/** A user name as useradd takes it; also no way out of its line. */
const USER = /^[a-z_][a-z0-9_-]{0,31}$/;
const HOST = /^[0-9A-Za-z.:_-]{1,255}$/;

/** One word of a command line (systemd.service(5), systemd.syntax(7)): quoted, with `%` and `$` as themselves. */
function word(text: string): string {
  if (/[\p{Cc}]/u.test(text)) throw bad(text, 'has a control character');
  return /^[\w@%+=:,./-]+$/.test(text) && !/[%$]/.test(text)
    ? text
    : `"${text.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}

const bad = (value: string, why: string) =>
  new HypervueError('invalid-argument', `${value} ${why}`, { operation: 'service' }, 'Choose another.');

/**
 * The unit. Machines are processes below the server: when it is stopped their states are saved, for which they get time; a user's session that ends, or a reboot, loses
 * nothing. It is locked down as far as a hypervisor in user space can be; WebAssembly is compiled while it runs, so memory must stay executable.
 */
export function unitText({ node, cli, host, port, tls, user, home }: ServiceOptions): string {
  if (user !== undefined && !USER.test(user)) throw bad(user, 'is no user name');
  if (!HOST.test(host)) throw bad(host, 'is no address');
  const command = [node, cli, 'serve', '--host', host, '--port', String(port), ...(tls ? ['--tls'] : []), '--save-on-stop'];
  const system = user !== undefined;
  const lines = [
    '[Unit]',
    'Description=Hypervue virtual machines',
    'Documentation=https://hypervue.org/',
    ...(system ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${command.map(word).join(' ')}`,
    ...(system
      ? [`User=${user}`, 'StateDirectory=hypervue', 'RuntimeDirectory=hypervue', 'Environment=XDG_RUNTIME_DIR=/run/hypervue']
      : []),
    ...(home !== undefined
      ? [`Environment=${word(`HYPERVUE_HOME=${home}`)}`]
      : system
        ? ['Environment=HYPERVUE_HOME=/var/lib/hypervue']
        : []),
    'Restart=on-failure',
    'RestartSec=5',
    '# The server itself saves its machines; only what is left after that is killed.',
    'KillMode=mixed',
    'TimeoutStopSec=180',
    'UMask=0077',
    'LimitNOFILE=65536',
    'NoNewPrivileges=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'RestrictRealtime=yes',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
    'SystemCallArchitectures=native',
    ...(system
      ? [
          'ProtectSystem=strict',
          'ProtectHome=read-only',
          'PrivateTmp=yes',
          'ProtectKernelTunables=yes',
          'ProtectKernelModules=yes',
          'ProtectKernelLogs=yes',
          'ProtectControlGroups=yes',
          'ProtectClock=yes',
          'ProtectHostname=yes',
          'CapabilityBoundingSet=',
        ]
      : []),
    '',
    '[Install]',
    `WantedBy=${system ? 'multi-user.target' : 'default.target'}`,
  ];
  return `${lines.join('\n')}\n`;
}
