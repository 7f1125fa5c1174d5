/** Invented guest pictures, drawn with canvas. */
export function drawScreen(kind: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = kind % 3 === 1 ? [800, 600] : kind % 3 === 2 ? [1024, 768] : [720, 400];
  const c = canvas.getContext('2d')!;
  if (kind % 3 === 0) {
    c.fillStyle = '#000';
    c.fillRect(0, 0, canvas.width, canvas.height);
    c.font = '15px "DejaVu Sans Mono", monospace';
    const lines = [
      'SeaBIOS (version 1.16.2-debian-1.16.2-1)',
      '',
      'Booting from DVD/CD...',
      '',
      'Linux version 6.1.0-i386 (gcc 12.2.0) #1 SMP',
      'Memory: 498112K/523896K available',
      'pci 0000:00:01.1: PIIX3 IDE interface',
      'ata1.00: ATA-6: HYPERVUE HARDDISK, max UDMA/33',
      'Freeing unused kernel memory: 1024K',
      'Run /init as init process',
      '',
      'BusyBox v1.35.0 built-in shell (ash)',
      '',
      '/ # uname -a',
      'Linux (none) 6.1.0 #1 SMP i686 GNU/Linux',
      '/ # _',
    ];
    lines.forEach((line, i) => {
      c.fillStyle = i === 0 ? '#fff' : '#aaa';
      c.fillText(line, 4, 18 + i * 20);
    });
  } else if (kind % 3 === 1) {
    c.fillStyle = '#008080';
    c.fillRect(0, 0, 800, 600);
    c.fillStyle = '#c0c0c0';
    c.fillRect(0, 572, 800, 28);
    c.fillRect(160, 120, 480, 300);
    c.fillStyle = '#000080';
    c.fillRect(163, 123, 474, 22);
    c.fillStyle = '#fff';
    c.font = 'bold 13px sans-serif';
    c.fillText('Welcome', 170, 139);
    c.fillStyle = '#000';
    c.fillText('Start', 12, 591);
  } else {
    const g = c.createLinearGradient(0, 0, 1024, 768);
    g.addColorStop(0, '#1b3b6f');
    g.addColorStop(1, '#0b1020');
    c.fillStyle = g;
    c.fillRect(0, 0, 1024, 768);
    c.fillStyle = 'rgba(0,0,0,.55)';
    c.fillRect(0, 0, 1024, 28);
    c.fillStyle = '#fff';
    c.font = '14px sans-serif';
    c.fillText('Applications   Places   Terminal', 16, 19);
    c.fillStyle = '#101418';
    c.fillRect(180, 140, 620, 400);
    c.fillStyle = '#7fe07f';
    c.font = '14px monospace';
    c.fillText('user@guest:~$ make -j2', 200, 180);
  }
  return canvas;
}

export const pngOf = (canvas: HTMLCanvasElement): string => canvas.toDataURL('image/png').split(',')[1] ?? '';
