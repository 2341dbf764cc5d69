/* [1] From the kernel's jump to Rust.
 *
 * On entry: 64-bit mode, one-to-one mapping, IF = 0, all general registers 0, RSP in the kernel's control page. SSE is off, GDT and
 *   IDT are invalid (6.12) or the kernel's (7.2), and an NMI may arrive at any instruction: until LIDT below it resets the machine
 *   (6.12) or stops it for ever (7.2), so the way there is short.
 * On exit: own stack, GDT, TSS and IDT; SSE and machine checks on; RDI = RSP on entry; in the program's `tell`, never to return. From here
 *   on every exception ends as a verdict, so nothing before this point may raise one in a confidential guest, RDTSC included.
 * Clobbers: everything. Integer instructions only, until CR4 says otherwise.
 */
    .section .text.entry, "ax", @progbits
    .global purgatory_start
    .type purgatory_start, @function
purgatory_start:
    cli
    cld
    movq    %rsp, %rbx
    leaq    __stack_top(%rip), %rsp

    /* GDT, written here because LTR marks the task state segment busy in it: flat segments at the selectors that boot.rst asks for,
     * accessed bits set, and the task state segment, whose base lies scattered (SDM vol. 3A, "TSS descriptor in 64-bit mode"). */
    leaq    gdt(%rip), %rdi
    xorl    %eax, %eax
    movq    %rax, 0x00(%rdi)
    movq    %rax, 0x08(%rdi)
    movabsq $0x00af9b000000ffff, %rax   /* 64-bit code, readable */
    movq    %rax, {BOOT_CS}(%rdi)
    movabsq $0x00cf93000000ffff, %rax   /* data, writable */
    movq    %rax, {BOOT_DS}(%rdi)
    leaq    tss(%rip), %rax
    movw    $({TSS_SIZE} - 1), {TSS_SELECTOR}+0(%rdi)
    movw    %ax, {TSS_SELECTOR}+2(%rdi)
    shrq    $16, %rax
    movb    %al, {TSS_SELECTOR}+4(%rdi)
    movw    $0x0089, {TSS_SELECTOR}+5(%rdi) /* present, DPL 0, available 64-bit TSS; limit in bytes */
    movb    %ah, {TSS_SELECTOR}+7(%rdi)
    shrq    $16, %rax
    movq    %rax, {TSS_SELECTOR}+8(%rdi)
    /* Its limit, then its address, in ten bytes on the stack. */
    subq    $16, %rsp
    movw    $(gdt_end - gdt - 1), 6(%rsp)
    movq    %rdi, 8(%rsp)
    lgdt    6(%rsp)
    movl    ${BOOT_DS}, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %eax, %fs
    movl    %eax, %gs
    pushq   ${BOOT_CS}
    leaq    1f(%rip), %rax
    pushq   %rax
    lretq
1:
    /* The task register still names the old kernel's TSS, which is not mapped. Of ours the CPU reads one field: the stack on which
     * exceptions are delivered, so that they are even when RSP is what went wrong. */
    leaq    __trap_stack_top(%rip), %rax
    movq    %rax, tss+{TSS_IST1}(%rip)
    movl    ${TSS_SELECTOR}, %eax
    ltr     %ax
    /* IDT: interrupt gates on that stack, but for NMI, which returns: it may interrupt an exception. */
    leaq    idt(%rip), %rdi
    leaq    trap_stubs(%rip), %rsi
    xorl    %ecx, %ecx
2:  movq    %rsi, %rax
    movw    %ax, 0(%rdi)
    movw    ${BOOT_CS}, 2(%rdi)
    movw    $0x8e01, 4(%rdi)            /* present, DPL 0, 64-bit interrupt gate, IST 1 (SDM vol. 3A, "64-bit mode IDT") */
    shrq    $16, %rax
    movw    %ax, 6(%rdi)
    shrq    $16, %rax
    movl    %eax, 8(%rdi)
    movl    $0, 12(%rdi)
    addq    $16, %rdi
    addq    ${STUB_SIZE}, %rsi
    incl    %ecx
    cmpl    ${VECTORS}, %ecx
    jne     2b
    movb    $0, idt+{NMI}*16+4(%rip)    /* IST 0 */
    /* In no digest, so whatever is in them may be a stray write's. */
    movl    $0, traps(%rip)
    movl    $0, {nmis}(%rip)
    movw    $({VECTORS} * 16 - 1), 6(%rsp)
    leaq    idt(%rip), %rax
    movq    %rax, 8(%rsp)
    lidt    6(%rsp)

    /* SSE and machine checks on. leave.S and enter.S put these back: the next kernel keeps CR4.MCE as it finds it, and until it has a
     * handler a machine check with MCE off resets the machine, while one with MCE on would stop it in an early exception for ever
     * (startup_64, arch/x86/kernel/head_64.S; early_fixup_exception, arch/x86/mm/extable.c). */
    movq    %cr0, %rax
    movq    %rax, saved_cr0(%rip)
    andq    ${CR0_NOT_EM_TS}, %rax
    orq     ${CR0_MP}, %rax
    movq    %rax, %cr0
    movq    %cr4, %rax
    movq    %rax, saved_cr4(%rip)
    orq     ${CR4_ON}, %rax
    movq    %rax, %cr4
    movl    ${MXCSR_RESET}, 8(%rsp)
    ldmxcsr 8(%rsp)

    addq    $16, %rsp
    movq    %rbx, %rdi
    xorl    %ebp, %ebp
    call    {tell}
    ud2
    .size   purgatory_start, . - purgatory_start

    .section .bss.entry, "aw", @nobits
    .balign 16
idt:
    .skip   {VECTORS} * 16
gdt:
    .skip   {TSS_SELECTOR} + 16
gdt_end:
    .balign 16
tss:
    .skip   {TSS_SIZE}
    .global saved_cr0
saved_cr0:
    .skip   8
    .global saved_cr4
saved_cr4:
    .skip   8
    .text
